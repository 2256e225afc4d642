#pragma once

#include "tests/wire/hear.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

/// Bodies of answers that call tools, and what is to be read in them.

namespace modelforge::test {

using calls = std::vector<tool_call>;
using strings = std::vector<std::string>;

inline std::string as_json(std::string_view text) {
  return modelforge::json::value(text).dump();
}

inline std::string event(std::string_view data) {
  return "data: " + std::string{data} + "\n\n";
}

/// The arguments of each call as the pieces of a stream have them, and what the calls are named.
inline calls said_by(const heard& x) {
  calls result;
  for (auto& line : x.said) {
    auto text = line.substr(line.find(": ") + 2);
    if (line.starts_with("call ")) {
      auto space = text.find(' ');
      result.push_back({text.substr(0, space), text.substr(space + 1), "", ""});
    } else if (line.starts_with("arguments ")) {
      result.at(std::stoul(line.substr(10))).arguments += text;
    }
  }
  for (auto& call : result)
    if (call.arguments.empty())
      call.arguments = "{}";
  return result;
}

/// A stream gives these calls, in its pieces and at its end; or, where there are none, it is a failure that says so.
inline void check_stream(const std::string& body, const dialect& by, const calls& expected) {
  auto x = hear(body, by);
  if (expected.empty()) {
    CHECK(x.bad().code == errc::invalid_response);
    CHECK((x.bad().message.find("tool") != std::string::npos));
    return;
  }
  CHECK(x.good().tool_calls == expected);
  CHECK(said_by(x) == expected);
  check_cuts(body, by);
}

inline void check_whole(const std::string& body, const dialect& by, const calls& expected) {
  auto x = by.decode({200, {}}, body);
  if (expected.empty()) {
    REQUIRE(std::holds_alternative<failure>(x));
    CHECK((std::get<failure>(x).message.find("tool") != std::string::npos));
    return;
  }
  if (auto* problem = std::get_if<failure>(&x))
    FAIL(problem->message);
  CHECK(std::get<completion>(x).tool_calls == expected);
}

inline std::string message_answer(const std::string& message) {
  return R"({"id":"c1","choices":[{"index":0,"message":)" + message + R"(,"finish_reason":"tool_calls"}]})";
}

inline std::string delta(const std::string& x) {
  return event(R"({"id":"c1","choices":[{"index":0,"delta":)" + x + "}]}");
}

inline std::string deltas(const std::vector<std::string>& parts) {
  std::string body;
  for (auto& x : parts)
    body += delta(R"({"tool_calls":)" + x + "}");
  return body + event(R"({"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]})") + "data: [DONE]\n\n";
}

inline std::string anthropic_stream(const std::vector<std::string>& events) {
  std::string body = event(R"({"type":"message_start","message":{"id":"m","content":[]}})");
  for (auto& x : events)
    body += event(x);
  return body + event(R"({"type":"message_delta","delta":{"stop_reason":"tool_use"}})")
         + event(R"({"type":"message_stop"})");
}

inline std::string block(const std::string& index, const std::string& id, const std::string& name,
                         const std::string& input) {
  return R"({"type":"content_block_start","index":)" + index + R"(,"content_block":{"type":"tool_use","id":")" + id
         + R"(","name":")" + name + R"(","input":)" + input + "}}";
}

inline std::string fragment(const std::string& index, std::string_view json) {
  return R"({"type":"content_block_delta","index":)" + index + R"(,"delta":{"type":"input_json_delta","partial_json":)"
         + as_json(json) + "}}";
}

inline const std::string done = "data: [DONE]\n\n";

inline std::string quoted_or_null(const std::string& word) {
  return word.empty() ? "null" : as_json(word);
}

inline std::string end_of_chunks(const std::string& reason) {
  return event(R"({"choices":[{"index":0,"delta":{},"finish_reason":)" + quoted_or_null(reason) + "}]}") + done;
}

inline std::string anthropic_events(const strings& events, const std::string& text, const std::string& reason) {
  auto body = event(R"({"type":"message_start","message":{"id":"m","content":[]}})");
  if (!text.empty())
    body +=
      event(R"({"type":"content_block_start","index":0,"content_block":{"type":"text","text":)" + as_json(text) + "}}")
      + event(R"({"type":"content_block_stop","index":0})");
  for (auto& x : events)
    body += event(x);
  if (!reason.empty())
    body += event(R"({"type":"message_delta","delta":{"stop_reason":)" + as_json(reason) + "}}");
  return body + event(R"({"type":"message_stop"})");
}

inline void check_calls(const std::string& body, const dialect& by, bool is_stream, const calls& expected) {
  CAPTURE(body);
  if (is_stream)
    check_stream(body, by, expected);
  else
    check_whole(body, by, expected);
}

inline bool warns(const completion& x, std::string_view what) {
  return std::any_of(x.warnings.begin(), x.warnings.end(),
                     [&](auto& text) { return text.find(what) != std::string::npos; });
}

} // namespace modelforge::test
