#pragma once

#include "limits/charge.hpp"

#include <string_view>

namespace modelforge::wire {

/// What sets one speaker of OpenAI's format apart from another.
struct quirks {
  std::string_view name;                      ///< For messages.
  std::string_view base_url = {};             ///< Its public address; empty: it has none.
  std::string_view max_tokens = "max_tokens"; ///< Name of that field of Chat Completions.
  bool top_k = true;
  bool cache_key = false;   ///< It knows `prompt_cache_key`.
  bool obfuscation = false; ///< Its streams are padded, unless asked not to be.
  bool is_strict = false;   ///< Keeps to the format as published, e.g. streams have both a finish reason and `[DONE]`.
  limits::output_rule output = limits::output_rule::sum; ///< How max_tokens counts against the token limit.
};

} // namespace modelforge::wire
