#pragma once

#include "tools/simulator/generation.hpp"
#include "tools/simulator/language.hpp"

#include <variant>

namespace modelforge::simulator::gemini {

/// A checked request for content.
struct content_request : generation {
  bool shows_thoughts = false;
};

/// Checks the body as Google would: the first fault found is the answer. `is_count`: only the contents matter.
std::variant<content_request, api_error> read_content_request(const exchange& incoming, std::string_view model,
                                                              bool is_count = false);

/// Returns what vouches for a call that is sent back.
std::string signature_of(std::string_view name, const json& arguments, uint64_t seed);

} // namespace modelforge::simulator::gemini
