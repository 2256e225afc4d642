#include "tests/wire/framings.hpp"
#include "tests/wire/hear.hpp"
#include "wire/provider_error.hpp"
#include "wire/vendors.hpp"

#include <catch2/catch_test_macros.hpp>

namespace modelforge::empty_error_test {

// Members that are there for errors and tell of none, beside good answers, in every dialect; and those that tell of
// one.

using namespace modelforge::test;

namespace {

/// Of these none is an error.
constexpr std::string_view nothings[] = {
  "null",
  "\"\"",
  "\" \"",
  "{}",
  "[]",
  "false",
  "0",
  R"({"message":""})",
  R"({"code":null,"message":null})",
  R"({"code":"","message":"","type":""})",
  R"({"code":0,"message":"success"})",
  R"({"code":"0","message":""})",
  R"({"code":200,"message":"OK","details":[],"retryable":false})",
  R"({"error":{"message":""}})",
  R"("none")",
  R"("None")",
  R"("null")",
  R"([{}])",
};

/// Of these each is one.
constexpr std::string_view somethings[] = {
  R"("boom")",
  R"({"message":"boom"})",
  R"({"code":0,"message":"boom"})",
  R"({"code":500})",
  R"({"code":"server_error","message":null})",
  R"(["boom"])",
  R"([{"message":"boom"}])",
  R"({"error":{"message":"boom"}})",
};

/// A whole answer of each dialect.
std::string whole_answer(const dialect& by) {
  auto name = by.name();
  if (name == "anthropic")
    return R"({"id":"m1","type":"message","role":"assistant","model":"m",)"
           R"("content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn"})";
  if (name == "gemini")
    return R"({"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}]})";
  if (name == "ollama")
    return R"({"model":"m","message":{"role":"assistant","content":"Hi"},"done":true,"done_reason":"stop"})";
  if (name.find("responses") != name.npos)
    return R"({"id":"r1","object":"response","status":"completed",)"
           R"("output":[{"type":"message","content":[{"type":"output_text","text":"Hi"}]}]})";
  return R"({"id":"c1","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]})";
}

/// An object with one member more, in front of the others or behind them.
std::string with(std::string object, const std::string& member, bool in_front) {
  if (in_front)
    return "{" + member + "," + object.substr(1);
  object.pop_back();
  return object + "," + member + "}";
}

std::string member_named(std::string_view name, std::string_view value) {
  return "\"" + std::string{name} + "\":" + std::string{value};
}

std::string streamed(const dialect& by, const std::string& object) {
  return by.name() == "ollama" ? object + "\n" : "data: " + object + "\n\n";
}

} // namespace

TEST_CASE("an error member that says nothing costs no whole answer", "[wire][errors]") {
  for (auto* by : dialects())
    for (auto value : nothings)
      for (auto* name : {"error", "errors", "err", "fault", "exception"})
        for (auto in_front : {true, false}) {
          auto body = with(whole_answer(*by), member_named(name, value), in_front);
          CAPTURE(by->name(), body);
          auto read = by->decode({200, {}}, body);
          auto* good = std::get_if<completion>(&read);
          REQUIRE(good != nullptr);
          CHECK(good->text == "Hi");
          CHECK(hear(streamed(*by, body), *by).good().tool_calls.empty()); // in one piece, where a stream was asked for
        }
}

TEST_CASE("an error member that says nothing costs no stream", "[wire][errors][stream]") {
  for (auto& [by, objects] : sample_streams()) {
    auto plain = [&] {
      std::string body;
      for (auto& object : objects)
        body += streamed(*by, object);
      return hear(body, *by);
    }();
    for (auto value : nothings)
      for (std::size_t place = 0; place <= objects.size(); ++place) {
        std::string body; // place: which object has the member; behind the last one: all
        for (std::size_t i = 0; i < objects.size(); ++i)
          body +=
            streamed(*by, place == objects.size() || place == i ? with(objects[i], member_named("error", value), false)
                                                                : objects[i]);
        CAPTURE(by->name(), value, place);
        auto x = hear(body, *by);
        CHECK(x.words == plain.words);
        CHECK(x.good().tool_calls == plain.good().tool_calls);
      }
  }
}

TEST_CASE("an error member that says something is one, beside whatever", "[wire][errors]") {
  for (auto* by : dialects())
    for (auto value : somethings)
      for (auto in_front : {true, false}) {
        auto body = with(whole_answer(*by), member_named("error", value), in_front);
        CAPTURE(by->name(), body);
        CHECK(std::holds_alternative<failure>(by->decode({200, {}}, body)));
        CHECK(std::holds_alternative<failure>(hear(streamed(*by, body), *by).end));
      }
}

TEST_CASE("an error member that says nothing costs no vectors, models, jobs or results", "[wire][errors]") {
  for (auto* by : dialects())
    for (auto value : nothings) {
      CAPTURE(by->name(), value);
      auto error = member_named("error", value);
      if (by->max_inputs() > 0) {
        auto vectors = R"({"data":[{"index":0,"embedding":[1,2]}]})";
        CHECK(std::holds_alternative<embedding>(by->decode_embedding({200, {}}, with(vectors, error, true), 1)));
      }
      CHECK(std::holds_alternative<model_list>(
        by->decode_models({200, {}}, with(R"({"data":[{"id":"a"}]})", error, true))));
      auto jobs = by->batches();
      if (!jobs)
        continue;
      CHECK(std::holds_alternative<batch_status>(
        jobs->decode_job({200, {}}, with(R"({"id":"b","status":"x","processing_status":"x"})", error, true))));
      auto is_anthropic = by->name() == "anthropic";
      auto line = is_anthropic
                    ? R"({"custom_id":"n-1","result":{"type":"succeeded","message":)" + whole_answer(*by) + "}}"
                    : R"({"custom_id":"n-1","response":{"status_code":200,"body":)" + whole_answer(*by) + "}}";
      auto read = jobs->decode_result(with(line, error, false));
      REQUIRE(std::holds_alternative<batch_result>(read));
      CHECK(std::holds_alternative<completion>(std::get<batch_result>(read).answer));
    }
}

TEST_CASE("an error event without words is a failure nevertheless", "[wire][errors][stream]") {
  for (auto* by : dialects()) {
    if (by->name() == "ollama")
      continue;
    for (auto* data : {R"({"type":"error","error":{}})", R"({"type":"error"})", "{}"}) {
      CAPTURE(by->name(), data);
      auto x = hear("event: error\ndata: " + std::string{data} + "\n\n", *by);
      CHECK(x.bad().code == errc::server_error);
      CHECK(x.ended);
    }
  }
  auto anthropic = hear("data: {\"type\":\"error\",\"error\":{}}\n\n", *find_dialect("anthropic"));
  CHECK(anthropic.bad().code == errc::server_error);
}

TEST_CASE("a status beside the choices tells of an error, where it is one", "[wire][errors]") {
  auto& by = openai::compatible_chat_api();
  struct {
    std::string_view status, message;
    errc code; ///< none: it is no error.
  } table[] = {
    {"0", "", errc::none},
    {"0", "success", errc::none},
    {"\"0\"", "", errc::none},
    {"null", "", errc::none},
    {"1002", "rate limit", errc::rate_limited},
    {"1039", "too many tokens", errc::rate_limited},
    {"\"1004\"", "login fail", errc::authentication},
    {"1008", "insufficient balance", errc::quota_exhausted},
    {"1027", "output new_sensitive", errc::content_filtered},
    {"2013", "invalid params", errc::invalid_request},
    {"1000", "unknown error", errc::server_error},
  };
  for (auto& row : table) {
    auto base = R"("base_resp":{"status_code":)" + std::string{row.status} + R"(,"status_msg":")"
                + std::string{row.message} + "\"}";
    for (auto* choices : {R"("choices":null)", R"("choices":[])", R"("x":1)",
                          R"("choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}])"}) {
      auto is_good = row.code == errc::none;
      auto has_answer = std::string_view{choices}.find("Hi") != std::string_view::npos;
      auto body = "{" + std::string{choices} + "," + base + "}";
      CAPTURE(body);
      for (auto& end : {by.decode({200, {}}, body), hear("data: " + body + "\n\n", by).end}) {
        REQUIRE(std::holds_alternative<completion>(end) == (is_good && has_answer));
        if (is_good)
          continue;
        auto& x = std::get<failure>(end);
        CHECK(name_of(x.code) == name_of(row.code));
        CHECK(x.provider_message == row.message);
      }
    }
  }
}

} // namespace modelforge::empty_error_test
