#pragma once

#include "tools/simulator/openai.hpp"

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace modelforge::simulator::openai {

/// Keeps the order of keys, so that an answer follows its schema's.
using json = nlohmann::ordered_json;

/// A checked request for chat completions: what decides its answer.
struct chat_request {
  enum class form : uint8_t { text, json_object, json_schema, tool_call };

  std::string model;
  std::string prompt;         ///< Text of the last user message.
  uint64_t seed = 0;          ///< Of the simulator's seed, the request's, the model and the messages.
  uint32_t prompt_tokens = 0; ///< Of messages and tools.
  uint32_t choices = 1;
  std::optional<uint32_t> max_tokens;
  std::vector<std::string> stop;
  bool is_stream = false;
  bool include_usage = false;
  bool obfuscation = true;
  form wanted = form::text;
  json schema;                ///< Of the answer, or of the tool's arguments.
  std::string tool;           ///< Name of the function to call.
  bool is_tool_named = false; ///< The request named the function itself; OpenAI then finishes with "stop".
};

/// Checks `body` as OpenAI would: the first fault found is the answer.
std::variant<chat_request, api_error> read_chat_request(std::string_view body, const options& settings);

} // namespace modelforge::simulator::openai
