#include "tests/wire/calls.hpp"
#include "wire/dialect.hpp"
#include "wire/provider_error.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <string_view>
#include <variant>

/// Good answers of one API to requests of another.

namespace modelforge::foreign_answers_test {

using namespace modelforge::test;

namespace {

using text = std::string;

/// An answer as an API has it, with all that it has in common with others: usage, ids, models, messages.
struct sample {
  std::string_view of; ///< The dialects that understand it begin so.
  text whole, stream;
  std::string_view begins = "{"; ///< The stream.
};

text named(std::string_view name, std::string_view data) {
  return "event: " + text{name} + "\n" + event(data);
}

const sample samples[] = {
  {"openai",
   R"({"id":"c1","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant",)"
   R"("content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}})",
   event(R"({"id":"c1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"Hi"}}]})")
     + event(R"({"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})")
     + event(R"({"id":"c1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}})") + event("[DONE]"),
   "data:"},
  {"openai_responses",
   R"({"id":"r1","object":"response","status":"completed","model":"m","output":[{"type":"message","id":"m1",)"
   R"("content":[{"type":"output_text","text":"Hi"}]}],"usage":{"input_tokens":3,"output_tokens":2}})",
   named("response.created",
         R"({"type":"response.created","response":{"id":"r1","status":"in_progress","model":"m","output":[]}})")
     + named("response.output_text.delta",
             R"({"type":"response.output_text.delta","item_id":"m1","output_index":0,"delta":"Hi"})")
     + named("response.completed",
             R"({"type":"response.completed","response":{"id":"r1","status":"completed","output":[{"type":"message",)"
             R"("id":"m1","content":[{"type":"output_text","text":"Hi"}]}],)"
             R"("usage":{"input_tokens":3,"output_tokens":2}}})"),
   "event:"},
  {"anthropic",
   R"({"id":"m1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"Hi"}],)"
   R"("stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":2}})",
   named("message_start", R"({"type":"message_start","message":{"id":"m1","type":"message","role":"assistant",)"
                          R"("model":"m","content":[],"usage":{"input_tokens":3,"output_tokens":1}}})")
     + named("ping", R"({"type":"ping"})")
     + named("content_block_start",
             R"({"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}})")
     + named("content_block_delta",
             R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}})")
     + named("message_delta",
             R"({"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}})")
     + named("message_stop", R"({"type":"message_stop"})"),
   "event:"},
  {"gemini",
   R"({"candidates":[{"index":0,"content":{"role":"model","parts":[{"text":"Hi"}]},"finishReason":"STOP"}],)"
   R"("usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2},"modelVersion":"m","responseId":"r"})",
   event(R"({"candidates":[{"index":0,"content":{"role":"model","parts":[{"text":"Hi"}]},"finishReason":"STOP"}],)"
         R"("usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2},"modelVersion":"m","responseId":"r"})"),
   "data:"},
  {"ollama",
   R"({"model":"m","message":{"role":"assistant","content":"Hi"},"done":true,"done_reason":"stop","eval_count":2})",
   R"({"model":"m","message":{"role":"assistant","content":"Hi"},"done":false})"
   "\n"
   R"({"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","eval_count":2})"
   "\n"},
  {"no dialect",
   R"({"output":{"text":"Hi","finish_reason":"stop"},"usage":{"input_tokens":3,"output_tokens":2},"request_id":"1"})",
   event(R"({"response":"Hi","p":"abc"})") + event(R"({"response":"","usage":{"prompt_tokens":3}})") + event("[DONE]"),
   "data:"},
};

bool understands(std::string_view dialect, const sample& x) {
  auto is_chat = [](std::string_view name) { return name.starts_with("openai") && name != "openai_responses"; };
  return is_chat(dialect) ? is_chat(x.of) : dialect == x.of;
}

/// Asking again cannot help; what came is shown, and what to look at.
void check_refused(const failure& bad, std::string_view begins) {
  CAPTURE(bad.message);
  CHECK(bad.code == errc::invalid_response);
  CHECK(will_come_again(bad));
  CHECK(bad.message.find(text{"begins "} + text{begins}) != text::npos);
  CHECK(bad.suggestion.find("kind") != text::npos);
}

} // namespace

TEST_CASE("an answer of another API is paid for once and shown, be there usage in it or not", "[wire][foreign]") {
  for (auto* name : {"openai", "openai_compatible", "openai_responses", "anthropic", "gemini", "ollama"})
    for (auto& x : samples) {
      if (understands(name, x))
        continue;
      CAPTURE(name, x.of);
      auto& by = *find_dialect(name);
      check_refused(hear(x.stream, by).bad(), x.begins);
      check_refused(hear(x.stream, by, std::vector<std::size_t>(x.stream.size(), 1)).bad(), x.begins);
      check_refused(hear(x.whole, by).bad(), "{");
      for (auto& body : {x.whole, x.stream}) {
        auto decoded = by.decode({200, {}}, body);
        REQUIRE(std::holds_alternative<failure>(decoded));
        check_refused(std::get<failure>(decoded), body == x.whole ? "{" : x.begins);
      }
    }
}

TEST_CASE("an answer that holds nothing is shown, and asked for again", "[wire][foreign]") {
  struct {
    const char* by;
    text body;
  } table[] = {
    {"openai", R"({"id":"c1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}})"},
    {"openai_compatible", R"({"id":"c1","choices":null,"usage":{"prompt_tokens":3,"completion_tokens":2}})"},
    {"gemini", R"({"usageMetadata":{"promptTokenCount":3},"modelVersion":"m"})"},
    {"openai_responses", R"({"type":"response.created","response":{"id":"r1","status":"in_progress"}})"},
  };
  for (auto& x : table) {
    CAPTURE(x.by, x.body);
    auto bad = hear(event(x.body), *find_dialect(x.by)).bad();
    CAPTURE(bad.message);
    CHECK_FALSE(will_come_again(bad));
    CHECK(bad.message.find("begins data:") != text::npos);
  }
}

} // namespace modelforge::foreign_answers_test
