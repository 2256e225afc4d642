#include "tests/wire/framings.hpp"
#include "tests/wire/hear.hpp"
#include "wire/provider_error.hpp"
#include "wire/vendors.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>

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

TEST_CASE("members of an error beside an answer are told, and fail it where they say so", "[wire][errors]") {
  struct {
    std::string_view members;
    bool fails;
    std::string_view words; ///< Empty: nothing is told.
  } table[] = {
    {R"("success":false,"errors":[{"message":"boom"}])", true, "boom"},
    {R"("success":"false","msg":"boom")", true, "boom"},
    {R"("code":500,"msg":"boom")", true, "boom"},
    {R"("code":"429","errors":["boom"])", true, "boom"},
    {R"("errors":[{"message":"boom"}])", false, "boom"},
    {R"("errors":["boom","bang"])", false, "boom; bang"},
    {R"("detail":"boom")", false, "boom"},
    {R"("detail":[{"loc":["body","x"],"msg":"boom"}])", false, "x: boom"},
    {R"("success":true,"errors":[],"detail":null)", false, ""},
    {R"("success":true,"errors":["boom"])", false, "boom"},
    {R"("code":0,"msg":"ok")", false, ""},
    {R"("code":200,"msg":"ok")", false, ""},
    {R"("code":"success","msg":"ok","success":null)", false, ""},
  };
  for (auto* by : dialects())
    for (auto& row : table)
      for (auto in_front : {true, false}) {
        auto body = with(whole_answer(*by), std::string{row.members}, in_front);
        CAPTURE(by->name(), body);
        for (auto& end : {by->decode({200, {}}, body), hear(streamed(*by, body), *by).end}) {
          REQUIRE(std::holds_alternative<failure>(end) == row.fails);
          if (row.fails) {
            CHECK(std::get<failure>(end).provider_message.find(row.words) != std::string::npos);
            continue;
          }
          auto& warnings = std::get<completion>(end).warnings;
          auto told =
            std::count_if(warnings.begin(), warnings.end(), [](auto& x) { return x.find("error beside") != x.npos; });
          CHECK(told == (row.words.empty() ? 0 : 1));
          auto is_told = std::any_of(warnings.begin(), warnings.end(),
                                     [&](auto& x) { return x.ends_with(": " + std::string{row.words}); });
          CHECK(is_told == !row.words.empty());
        }
      }
}

TEST_CASE("an error inside a choice, its message or a candidate is one", "[wire][errors]") {
  struct {
    std::string_view dialect, body;
  } table[] = {
    {"openai_compatible",
     R"({"choices":[{"index":0,"message":{"content":"Hi","error":{"message":"boom"}},"finish_reason":"stop"}]})"},
    {"openai_compatible",
     R"({"choices":[{"index":0,"message":{"content":"Hi","error":"boom"},"finish_reason":"stop"}]})"},
    {"openai_compatible",
     R"({"choices":[{"index":0,"delta":{"content":"Hi","error":{"message":"boom"}},"finish_reason":"stop"}]})"},
    {"openai_compatible", R"({"choices":[{"index":0,"error":{"message":"boom"},"message":{"content":"Hi"}}]})"},
    {"openai_compatible",
     R"({"status":"error","message":"boom","choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}]})"},
    {"anthropic",
     R"({"status":"error","message":"boom","type":"message","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn"})"},
    {"gemini",
     R"({"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP","error":{"message":"boom"}}]})"},
    {"gemini",
     R"({"status":"failed","msg":"boom","candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}]})"},
    {"ollama", R"({"status":"error","msg":"boom","message":{"content":"Hi"},"done":true,"done_reason":"stop"})"},
  };
  for (auto& row : table) {
    auto& by = *find_dialect(row.dialect);
    CAPTURE(row.body);
    for (auto& end : {by.decode({200, {}}, row.body), hear(streamed(by, std::string{row.body}), by).end}) {
      REQUIRE(std::holds_alternative<failure>(end));
      CHECK(std::get<failure>(end).provider_message == "boom");
    }
  }
}

TEST_CASE("a filter that MiniMax tells of beside the choices blocks the answer", "[wire][errors]") {
  auto& by = openai::compatible_chat_api();
  for (auto* word : {"true", "false"}) {
    auto body = R"({"choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}],"output_sensitive":)"
                + std::string{word} + "}";
    CAPTURE(body);
    auto flaw = *word == 't' ? answer_flaw::blocked : answer_flaw::none;
    CHECK(std::get<completion>(by.decode({200, {}}, body)).flaw == flaw);
    CHECK(hear("data: " + body + "\n\n", by).good().flaw == flaw);
  }
}

TEST_CASE("an answer whose status is incomplete may not be whole", "[wire][errors]") {
  for (auto* by : dialects()) {
    if (by->name().find("responses") != std::string_view::npos) // its own word, with reasons beside it
      continue;
    auto body = with(whole_answer(*by), member_named("status", R"("incomplete")"), true);
    CAPTURE(body);
    CHECK(std::get<completion>(by->decode({200, {}}, body)).flaw == answer_flaw::unclear);
    CHECK(hear(streamed(*by, body), *by).good().flaw == answer_flaw::unclear);
  }
}

TEST_CASE("what is no object among those of an answer makes it a failure", "[wire][errors]") {
  for (auto& [by, objects] : sample_streams()) {
    if (by->name() != "gemini" && by->name() != "openai_compatible")
      continue;
    for (std::string other : {R"("Internal Server Error")", "7"}) {
      auto body = "[" + objects.front() + "," + other;
      for (std::size_t i = 1; i < objects.size(); ++i)
        body += "," + objects[i];
      body += "]";
      CAPTURE(by->name(), other);
      CHECK(std::holds_alternative<failure>(by->decode({200, {}}, body)));
      CHECK(std::holds_alternative<failure>(hear(body, *by).end));
    }
  }
}

TEST_CASE("an error beside the answer in a job's result is told", "[wire][errors][batch]") {
  for (auto* by : dialects()) {
    auto jobs = by->batches();
    if (!jobs)
      continue;
    CAPTURE(by->name());
    auto error = member_named("error", R"({"message":"boom"})");
    auto line =
      by->name() == "anthropic"
        ? R"({"custom_id":"n-1","result":{"type":"succeeded",)" + error + R"(,"message":)" + whole_answer(*by) + "}}"
        : R"({"custom_id":"n-1","response":{"status_code":200,"body":)" + whole_answer(*by) + "}," + error + "}";
    auto read = jobs->decode_result(line);
    REQUIRE(std::holds_alternative<batch_result>(read));
    auto& good = std::get<completion>(std::get<batch_result>(read).answer);
    CHECK(good.warnings == std::vector<std::string>{"the provider told an error beside the answer: boom"});
  }
}

} // namespace modelforge::empty_error_test
