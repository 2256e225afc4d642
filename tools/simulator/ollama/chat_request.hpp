#pragma once

#include "tools/simulator/generation.hpp"
#include "tools/simulator/language.hpp"

#include <variant>

namespace modelforge::simulator::ollama {

/// A checked request for chat.
struct chat_request : generation {
  std::string_view load_reason; ///< Without messages a model is only loaded or unloaded: "load", "unload".
};

/// Checks the body as Ollama would: the first fault found is the answer. Unknown fields are ignored.
std::variant<chat_request, api_error> read_chat_request(const exchange& incoming);

/// Returns what is wrong with the member `keep_alive` of `body`, if anything is.
std::optional<api_error> problem_with_keep_alive(const json& body);

/// Returns the body of `incoming` as an object and checks its member `model`.
std::variant<json, api_error> read_body(const exchange& incoming);

} // namespace modelforge::simulator::ollama
