#include "wire/json_demand.hpp"

#include "tests/wire/hear.hpp"
#include "wire/text_keeper.hpp"

namespace modelforge::json_demand_test {

using namespace modelforge::test;

namespace {

constexpr auto rivers = R"({"type":"object","properties":{"rivers":{"type":"array","items":{"type":"string"}}},
  "required":["rivers"],"additionalProperties":false})";

response_format with_schema(json_check check = json_check::fail) {
  return {response_kind::json_schema, "answer", rivers, true, check};
}

response_format any_object(json_check check = json_check::fail) {
  return {response_kind::json_object, "", "", true, check};
}

completion saying(std::string text, finish_reason reason = finish_reason::stop) {
  completion x;
  x.text = std::move(text);
  x.finish_reason = reason;
  x.usage = token_usage{10, 20, 0, 0, 0};
  x.cost = 0.5;
  x.provider_request_id = "req_1";
  return x;
}

/// The failure's message; "": it is good.
std::string judged(const response_format& format, completion& answer) {
  auto demand = json_demand::of(format, json_check::off);
  REQUIRE(demand != nullptr);
  auto why = demand->judge(answer);
  return why ? why->message : "";
}

} // namespace

TEST_CASE("JSON that was asked for and not delivered is a failure that carries what came", "[wire][json_demand]") {
  struct row {
    response_format format;
    std::string text, message; ///< "": good.
    std::string unwrapped{};   ///< What the fence held.
  };
  auto good = std::string{R"({"rivers":["Rhein"]})"};
  for (auto& [format, text, message, unwrapped] : std::initializer_list<row>{
         {with_schema(), good, ""},
         {with_schema(), " \n" + good + "\r\n", ""},
         {with_schema(), "```json\n" + good + "\n```", "", good},
         {with_schema(), "```\n" + good + "```\n", "", good},
         {with_schema(), "```JSON " + good + "```", "", good},
         {with_schema(), "```json\n" + good, "", good}, // it stopped before the closing one
         {with_schema(), "Here it is:\n```json\n" + good + "\n```\nEnjoy!", "", good},
         {with_schema(), "```json\n" + good + "\n```\nor\n```json\n{}\n```", "is not JSON"},
         {with_schema(), "```json\n{\"rivers\":[7]}\n```", "/rivers/0 is an integer, not a string"},
         {with_schema(), R"({"rivers":["Rhein"]} {"rivers":[]})", "is not JSON"},
         {with_schema(), R"({"rivers":["Rhe)", "is not JSON"},
         {with_schema(), "{}", R"(lacks the member "rivers")"},
         {with_schema(), R"({"rivers":[],"lakes":[]})", R"(has a member "lakes")"},
         {with_schema(), R"("{\"rivers\":[]}")", "the answer is a string, not an object"},
         {with_schema(), "Sorry, I only speak prose.", "is not JSON"},
         {with_schema(), "", "is empty"},
         {with_schema(), " \n", "is empty"},
         {any_object(), R"({"a":1})", ""},
         {any_object(), "```json\n{\"a\":1}\n```", "", R"({"a":1})"},
         {any_object(), "[1]", "is JSON, but not an object"},
         {any_object(), "{'a':1}", "is not JSON"},
       }) {
    INFO(text);
    auto answer = saying(text);
    auto told = judged(format, answer);
    CHECK(told.empty() == message.empty());
    CHECK(told.find(message) != told.npos);
    CHECK(answer.text == (unwrapped.empty() ? text : unwrapped));
    if (!unwrapped.empty()) {
      REQUIRE(answer.warnings.size() == 1);
      CHECK(answer.warnings[0].find("fence") != std::string::npos);
    }
    auto mild = format;
    mild.check = json_check::warn;
    auto kept = saying(text);
    CHECK(judged(mild, kept).empty());
    CHECK(kept.text == answer.text);
    CHECK(kept.warnings.empty() == (message.empty() && unwrapped.empty()));
  }
  auto answer = saying("prose");
  auto why = json_demand::of(with_schema(), json_check::off)->judge(answer).value();
  CHECK(why.code == errc::wrong_format);
  CHECK(why.text == "prose");
  CHECK(why.usage == answer.usage);
  CHECK(why.cost == 0.5);
  CHECK(why.provider_request_id == "req_1");
}

TEST_CASE("a byte order mark in front of JSON is dropped without a word", "[wire][json_demand]") {
  for (auto* text : {"\xEF\xBB\xBF{\"rivers\":[]}", "\xEF\xBB\xBF```json\n{\"rivers\":[]}\n```"}) {
    auto answer = saying(text);
    CHECK(judged(with_schema(), answer).empty());
    CHECK(answer.text == "{\"rivers\":[]}");
    CHECK(answer.warnings.empty() == (std::string_view{text}.find('`') == std::string_view::npos));
  }
}

TEST_CASE("an answer that was cut, filtered, declined or calls a tool is told by its finish reason",
          "[wire][json_demand]") {
  for (auto reason : {finish_reason::length, finish_reason::content_filter, finish_reason::refusal,
                      finish_reason::paused, finish_reason::tool_calls}) {
    auto answer = saying(R"({"rivers":["Rhe)", reason);
    CHECK(judged(with_schema(), answer).empty());
    CHECK(answer.warnings.empty());
  }
  auto declined = saying("");
  declined.refusal = "No.";
  CHECK(judged(with_schema(), declined).empty());
}

TEST_CASE("of several answers the good ones are not thrown away", "[wire][json_demand]") {
  auto answer = saying("prose");
  answer.alternatives = {{"```\n{\"rivers\":[]}\n```", {}, {}, "", finish_reason::stop, "stop", ""}};
  CHECK(judged(with_schema(), answer).empty());
  CHECK(answer.alternatives[0].text == R"({"rivers":[]})");
  REQUIRE(answer.warnings.size() == 2);
  CHECK(answer.warnings[0].starts_with("JSON was asked for, but the answer is not JSON"));
  CHECK(answer.warnings[1].starts_with("answer 2 "));
  answer.alternatives[0].text = "more prose";
  CHECK_FALSE(judged(with_schema(), answer).empty());
}

TEST_CASE("what nobody asked for is not checked", "[wire][json_demand]") {
  CHECK(json_demand::of({}, json_check::fail) == nullptr);
  CHECK(json_demand::of(with_schema(json_check::off), json_check::fail) == nullptr);
  auto unsaid = with_schema();
  unsaid.check.reset();
  CHECK(json_demand::of(unsaid, json_check::off) == nullptr);
  CHECK(json_demand::of(unsaid, json_check::warn) != nullptr);
  unsaid.schema = "no schema";
  CHECK(json_demand::of(unsaid, json_check::fail) == nullptr);
}

TEST_CASE("a reader of streams that keeps the text hands all on, and has it at the end",
          "[wire][json_demand][stream]") {
  auto body = std::string{R"(data: {"choices":[{"delta":{"content":"{\"a\""}}]})"} + "\n\n"
              + R"(data: {"choices":[{"delta":{"content":":1}"},"finish_reason":"stop"}]})" + "\n\ndata: [DONE]\n\n";
  text_keeper keeper{openai::compatible_chat_api().read_stream(ok)};
  listener to;
  for (char c : body)
    keeper.take({&c, 1}, to);
  CHECK(keeper.has_end());
  CHECK(to.words == R"({"a":1})");
  auto end = keeper.end(to);
  CHECK(std::get<completion>(end).text == R"({"a":1})");
}

} // namespace modelforge::json_demand_test
