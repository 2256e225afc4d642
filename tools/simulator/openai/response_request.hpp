#pragma once

#include "tools/simulator/generation.hpp"
#include "tools/simulator/language.hpp"

#include <variant>

namespace modelforge::simulator::openai {

/// A checked request for a response.
struct response_request : generation {
  bool obfuscation = true;
  bool shows_summary = false;   ///< Of its thinking.
  bool gives_encrypted = false; ///< Its thinking, for a client that keeps the conversation itself.
  std::string echo;             ///< What the response repeats of the request: members of an object, as JSON.
};

/// Checks the body as OpenAI would: the first fault found is the answer.
std::variant<response_request, api_error> read_response_request(const exchange& incoming);

} // namespace modelforge::simulator::openai
