#pragma once

#include "tools/simulator/generation.hpp"
#include "tools/simulator/language.hpp"

#include <variant>

namespace modelforge::simulator::openai {

/// A checked request for chat completions.
struct chat_request : generation {
  bool include_usage = false;
  bool obfuscation = true;
  bool is_tool_named = false; ///< The request named the function itself; OpenAI then finishes with "stop".
};

/// Checks the body as OpenAI would: the first fault found is the answer.
std::variant<chat_request, api_error> read_chat_request(const exchange& incoming);

} // namespace modelforge::simulator::openai
