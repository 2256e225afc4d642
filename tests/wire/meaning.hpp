#pragma once

#include "tests/wire/hear.hpp"

#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace modelforge::test::forms {

using tree = json::value;
using strings = std::vector<std::string>;

inline std::string quote(std::string_view text) {
  return tree(text).dump();
}

inline std::string event(std::string_view data) {
  return "data: " + std::string{data} + "\n\n";
}

inline std::string whole_chat(std::string_view choice, std::string_view more = "") {
  return R"({"id":"c","choices":[{"index":0,)" + std::string{choice} + "}]" + std::string{more} + "}";
}

inline std::string chat_chunk(std::string_view choice, std::string_view more = "") {
  return event(R"({"id":"c","choices":[{)" + std::string{choice} + "}]" + std::string{more} + "}");
}

inline const std::string stop = chat_chunk(R"("delta":{},"finish_reason":"stop")");
inline const std::string done = "data: [DONE]\n\n";

/// What an answer says, whole or streamed.
struct meaning {
  std::string thoughts, text;
  std::vector<tool_call> calls;
  std::optional<token_usage> usage;
  finish_reason reason = finish_reason::stop;

  friend bool operator==(const meaning&, const meaning&) = default;
};

/// Arguments are compared as JSON.
inline std::string plain(std::string_view arguments) {
  auto parsed = modelforge::json::parse(arguments);
  auto* value = std::get_if<tree>(&parsed);
  return value == nullptr ? std::string{arguments} : value->dump();
}

inline meaning meaning_of(const completion& x) {
  meaning result{reasoning_of(x), x.text, x.tool_calls, x.usage, x.finish_reason};
  for (auto& call : result.calls)
    call.arguments = plain(call.arguments);
  return result;
}

inline std::variant<meaning, failure> meaning_of(const heard& x) {
  if (auto* problem = std::get_if<failure>(&x.end))
    return *problem;
  auto result = meaning_of(std::get<completion>(x.end));
  std::vector<std::string> arguments(result.calls.size());
  for (auto& line : x.said) {
    auto text = line.substr(line.find(": ") + 2);
    if (line.starts_with("text: "))
      result.text += text;
    else if (line.starts_with("reasoning: "))
      result.thoughts += text;
    else if (line.starts_with("arguments "))
      arguments.at(std::stoul(line.substr(10))) += text;
  }
  for (std::size_t i = 0; i < arguments.size(); ++i) // the pieces tell what the end tells
    if (plain(arguments[i].empty() ? "{}" : arguments[i]) != result.calls[i].arguments)
      result.calls[i].arguments += " but in pieces " + arguments[i];
  return result;
}

inline std::variant<meaning, failure> read(const std::string& body, const dialect& by, bool is_stream,
                                           const std::vector<std::size_t>& sizes = {}) {
  if (is_stream)
    return meaning_of(hear(body, by, sizes));
  auto result = by.decode({200, {}}, body);
  if (auto* problem = std::get_if<failure>(&result))
    return *problem;
  return meaning_of(std::get<completion>(result));
}

} // namespace modelforge::test::forms
