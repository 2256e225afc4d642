#include "tests/wire/calls.hpp"
#include "wire/anthropic/anthropic.hpp"
#include "wire/gemini/gemini.hpp"
#include "wire/ollama/ollama.hpp"

#include <catch2/catch_test_macros.hpp>

#include <optional>

// Calls in the members of a message that another dialect has for them.

namespace modelforge::call_names_test {

using namespace modelforge::test;

TEST_CASE("calls beside a text are read under any dialect's name for them", "[wire][calls]") {
  struct {
    std::string_view name;
    const dialect& by;
    bool is_stream;
    std::string before, behind; ///< What stands around the member with the calls.
    std::string usual;          ///< The dialect's own list of calls in that place, up to its calls; empty: none.
  } table[] = {
    {"chat", openai::compatible_chat_api(), false, R"({"choices":[{"message":{"content":"Hi")",
     R"(},"finish_reason":"stop"}]})", R"("tool_calls":)"},
    {"chat stream", openai::compatible_chat_api(), true,
     delta(R"({"content":"Hi"})") + R"(data: {"choices":[{"index":0,"delta":{"content":"")",
     "}}]}\n\n" + end_of_chunks("stop"), R"("tool_calls":)"},
    {"anthropic", anthropic::messages_api(), false, R"({"type":"message","content":"Hi")",
     R"(,"stop_reason":"end_turn"})", R"("tool_calls":)"},
    {"gemini", gemini::content_api(), false, R"({"candidates":[{"content":{"parts":[{"text":"Hi"}])",
     R"(},"finishReason":"STOP"}]})", ""},
    {"gemini, beside the content", gemini::content_api(), false,
     R"({"candidates":[{"content":{"parts":[{"text":"Hi"}]})", R"(,"finishReason":"STOP"}]})", ""},
    {"gemini, beside the candidates", gemini::content_api(), false,
     R"({"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}])", "}", ""},
    {"gemini stream, beside the content", gemini::content_api(), true,
     R"(data: {"candidates":[{"content":{"parts":[{"text":"Hi"}]})",
     "}]}\n\n" + event(R"({"candidates":[{"finishReason":"STOP"}]})"), ""},
    {"gemini stream, beside the candidates", gemini::content_api(), true,
     event(R"({"candidates":[{"content":{"parts":[{"text":"Hi"}]}}]})") + R"(data: {"responseId":"r")",
     "}\n\n" + event(R"({"candidates":[{"finishReason":"STOP"}]})"), ""},
    {"gemini stream, beside the last candidates", gemini::content_api(), true,
     R"(data: {"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}])", "}\n\n", ""},
    {"anthropic stream, at the beginning", anthropic::messages_api(), true,
     R"(data: {"type":"message_start","message":{"id":"m","content":[])",
     "}}\n\n" + event(R"({"type":"content_block_start","index":0,"content_block":{"type":"text","text":"Hi"}})")
       + event(R"({"type":"message_delta","delta":{"stop_reason":"end_turn"}})") + event(R"({"type":"message_stop"})"),
     R"("tool_calls":)"},
    {"anthropic stream, at the end", anthropic::messages_api(), true,
     event(R"({"type":"content_block_start","index":0,"content_block":{"type":"text","text":"Hi"}})")
       + R"(data: {"type":"message_delta","delta":{"stop_reason":"end_turn")",
     "}}\n\n" + event(R"({"type":"message_stop"})"), ""},
    {"responses", openai::responses_api(), false,
     R"({"id":"r","status":"completed","output":[{"type":"message","content":"Hi")", "}]}", R"("tool_calls":)"},
    {"responses, beside the items", openai::responses_api(), false,
     R"({"id":"r","status":"completed","output":[{"type":"message","content":"Hi"}])", "}", ""},
    {"responses stream", openai::responses_api(), true,
     R"(data: {"type":"response.completed","response":{"id":"r","status":"completed","output":[{"type":"message","content":"Hi")",
     "}]}}\n\n", R"("tool_calls":)"},
    {"ollama", ollama::chat_api(), false, R"({"message":{"content":"Hi")", R"(},"done":true})", R"("tool_calls":)"},
    {"ollama stream", ollama::chat_api(), true, R"({"message":{"content":"Hi")", "}}\n{\"done\":true}\n",
     R"("tool_calls":)"},
    {"ollama, beside the message", ollama::chat_api(), false, R"({"message":{"content":"Hi"})", R"(,"done":true})",
     R"("tool_calls":)"},
  };
  const std::string call = R"({"id":"a","name":"f","arguments":{"x":1}})", other = R"({"id":"b","name":"g"})";
  const calls expected{{"a", "f", R"({"x":1})", ""}};
  for (auto& x : table) {
    auto calls_in = [&](const std::string& members) {
      auto body = x.before + members + x.behind;
      auto answer = x.is_stream ? hear(body, x.by).end : x.by.decode({200, {}}, body);
      auto* good = std::get_if<completion>(&answer);
      return good != nullptr ? std::optional{good->tool_calls} : std::nullopt;
    };
    for (std::string name : {"tool_call", "toolCall", "function_calls", "functionCalls", "functionCall", "tool_use",
                             "toolUse", "tool_calls", "toolCalls", "function_call"}) {
      auto member = ",\"" + name + "\":";
      CAPTURE(x.name, name);
      CHECK(calls_in(member + call) == expected);
      CHECK(calls_in(member + '[' + call + ']') == expected);
      CHECK(calls_in(member + "null") == calls{});
      CHECK(calls_in(member + "[]") == calls{});
      if (x.usual.empty() || name == "tool_calls" || name == "toolCalls" || name == "function_call")
        continue;
      CHECK(calls_in(member + call + "," + x.usual + '[' + call + ']') == expected);
      CHECK(calls_in("," + x.usual + "[]" + member + call) == expected);
      CHECK(calls_in(member + other + "," + x.usual + '[' + call + ']') == std::nullopt);
      CHECK(calls_in(member + other + ",\"tool_uses\":[" + call + ']') == std::nullopt);
    }
  }
}

TEST_CASE("calls that gemini tells without any candidates are an answer", "[wire][calls][gemini]") {
  auto body = event(R"({"responseId":"r","finishReason":"STOP","functionCall":{"id":"a","name":"f","args":{"x":1}}})");
  check_calls(body, gemini::content_api(), true, {{"a", "f", R"({"x":1})", ""}});
}

} // namespace modelforge::call_names_test
