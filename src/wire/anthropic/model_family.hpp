#pragma once

#include <cstdint>
#include <string_view>

namespace modelforge::wire::anthropic {

/// How a model can be asked to think.
enum class thinking_kind : uint8_t {
  none,
  budget,   ///< With so many tokens.
  either,   ///< With so many tokens, or as it sees fit, led by an effort.
  adaptive, ///< As it sees fit, led by an effort.
  always,   ///< The same, and it cannot be kept from it.
};

/// What models of one generation have in common where they differ from others.
struct model_family {
  std::string_view part; ///< Of their names.
  thinking_kind thinks = thinking_kind::adaptive;
  bool takes_sampling = true;   ///< temperature, top_p and top_k, other than their defaults.
  uint32_t usual_output = 8192; ///< Tokens for an answer, and for thinking that nobody asked for.
};

/// Finds the family of a model; of one that we do not know, the newest form of thinking and all that others take.
const model_family& family_of(std::string_view model);

} // namespace modelforge::wire::anthropic
