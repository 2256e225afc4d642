#include "tests/wire/calls.hpp"
#include "wire/dialect.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// Line breaks, tabs and their like that stand in strings as they are, where JSON demands an escape: models write them
/// into arguments, and gateways that put JSON together by hand into whole answers.

namespace modelforge::control_characters_test {

using namespace modelforge::test;

namespace {

const std::string raw = "{\"code\": \"if x:\n\treturn \\\"y\\\"\x1b[0m\",\n\t\"n\": 1}";
const std::string escaped = "{\"code\": \"if x:\\u000a\\u0009return \\\"y\\\"\\u001b[0m\",\n\t\"n\": 1}";

struct streamed {
  std::string_view by;
  std::string before, after; ///< What stands around the fragments.
  std::string (*fragment)(std::string_view);
};

const streamed streams[] = {
  {"openai_compatible",
   delta(R"({"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]})"),
   event(R"({"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]})") + event("[DONE]"),
   [](std::string_view x) {
     return delta(R"({"tool_calls":[{"index":0,"function":{"arguments":)" + as_json(x) + "}}]}");
   }},
  {"anthropic",
   event(R"({"type":"message_start","message":{"id":"m","content":[]}})")
     + event(R"({"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a","name":"f"}})"),
   event(R"({"type":"content_block_stop","index":0})")
     + event(R"({"type":"message_delta","delta":{"stop_reason":"tool_use"}})") + event(R"({"type":"message_stop"})"),
   [](std::string_view x) {
     return event(R"({"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":)"
                  + as_json(x) + "}}");
   }},
  {"openai_responses",
   event(R"({"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","id":"i",)"
         R"("call_id":"a","name":"f","arguments":""}})"),
   event(R"({"type":"response.completed","response":{"id":"r","status":"completed","output":[]}})"),
   [](std::string_view x) {
     return event(R"({"type":"response.function_call_arguments.delta","item_id":"i","output_index":0,"delta":)"
                  + as_json(x) + "}");
   }},
};

/// Whole answers of every dialect with this as the arguments of a call, in a string or as an object.
std::vector<std::pair<std::string_view, std::string>> wholes(const std::string& arguments) {
  return {
    {"openai_compatible", R"({"choices":[{"message":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":)"
                            + arguments + R"(}}]},"finish_reason":"tool_calls"}]})"},
    {"anthropic", R"({"id":"m","type":"message","content":[{"type":"tool_use","id":"a","name":"f","input":)" + arguments
                    + R"(}],"stop_reason":"tool_use"})"},
    {"openai_responses",
     R"({"id":"r","status":"completed","output":[{"type":"function_call","call_id":"a","name":"f","arguments":)"
       + arguments + "}]}"},
    {"gemini", R"({"candidates":[{"content":{"parts":[{"functionCall":{"id":"a","name":"f","args":)" + arguments
                 + R"(}}]},"finishReason":"STOP"}]})"},
    {"ollama", R"({"message":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":)" + arguments
                 + R"(}}]},"done":true,"done_reason":"stop"})"},
  };
}

const calls expected{{"a", "f", escaped, ""}};

} // namespace

TEST_CASE("control characters in arguments are escaped, wherever fragments are cut", "[wire][calls][controls]") {
  for (auto& x : streams) {
    CAPTURE(x.by);
    auto& by = *find_dialect(x.by);
    for (std::size_t cut = 0; cut <= raw.size(); ++cut) {
      CAPTURE(cut);
      auto body = x.before + x.fragment(raw.substr(0, cut)) + x.fragment(raw.substr(cut)) + x.after;
      auto heard = hear(body, by);
      CHECK(heard.good().tool_calls == expected);
      CHECK(heard.good().warnings.empty());
      CHECK(said_by(heard) == expected);
    }
    std::string bytewise = x.before;
    for (auto c : raw)
      bytewise += x.fragment({&c, 1});
    CHECK(hear(bytewise + x.after, by).good().tool_calls == expected);
    CHECK(hear(x.before + x.fragment(as_json(raw)) + x.after, by).good().tool_calls == expected); // encoded twice
    CHECK(hear(x.before + x.fragment(raw) + x.fragment(raw) + x.after, by).good().tool_calls == expected); // told twice
    std::string growing = x.before;
    for (auto end : {std::size_t{3}, raw.find('\t') + 1, raw.size() - 3, raw.size()})
      growing += x.fragment(raw.substr(0, end));
    CHECK(hear(growing + x.after, by).good().tool_calls == expected);
  }
}

TEST_CASE("control characters in whole answers are read as what they are", "[wire][calls][controls]") {
  for (auto& [name, body] : wholes(as_json(raw))) {
    CAPTURE(name, body);
    check_whole(body, *find_dialect(name), expected);
  }
  for (auto& [name, body] : wholes(raw)) { // the body itself is no JSON then
    CAPTURE(name, body);
    auto decoded = find_dialect(name)->decode({200, {}}, body);
    if (auto* problem = std::get_if<failure>(&decoded))
      FAIL(problem->message);
    auto called = std::get<completion>(decoded).tool_calls;
    REQUIRE(called.size() == 1);
    CHECK(modelforge::json::value::parse(called[0].arguments) == modelforge::json::value::parse(escaped));
  }
  const std::pair<std::string_view, std::string> texts[] = {
    {"openai", "{\"choices\":[{\"message\":{\"content\":\"a\n\tb\"},\"finish_reason\":\"stop\"}]}"},
    {"openai_responses", "{\"status\":\"completed\",\"output\":[{\"type\":\"message\",\"content\":\"a\n\tb\"}]}"},
    {"anthropic",
     "{\"type\":\"message\",\"content\":[{\"type\":\"text\",\"text\":\"a\n\tb\"}],\"stop_reason\":\"end_turn\"}"},
    {"gemini", "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\n\tb\"}]},\"finishReason\":\"STOP\"}]}"},
    {"ollama", "{\"message\":{\"content\":\"a\n\tb\"},\"done\":true,\"done_reason\":\"stop\"}"},
  };
  for (auto& [name, body] : texts) {
    CAPTURE(name, body);
    auto& by = *find_dialect(name);
    auto whole = by.decode({200, {}}, body);
    REQUIRE(std::holds_alternative<completion>(whole));
    CHECK(std::get<completion>(whole).text == "a\n\tb");
    CHECK(hear(body, by).words == "a\n\tb");
  }
}

TEST_CASE("a zero byte in an answer is damage", "[wire][controls]") {
  using namespace std::string_literals;
  auto body = "{\"choices\":[{\"message\":{\"content\":\"a\0b\"},\"finish_reason\":\"stop\"}]}"s;
  auto decoded = find_dialect("openai")->decode({200, {}}, body);
  REQUIRE(std::holds_alternative<failure>(decoded));
  CHECK(std::get<failure>(decoded).message.find("broken JSON") != std::string::npos);
}

} // namespace modelforge::control_characters_test
