#pragma once

#include "limits/rate_limiter.hpp"

namespace modelforge::limits {

/// How a provider counts tokens.
struct accounting {
  token_accounting tokens = token_accounting::arrival;
  output_rule output = output_rule::sum; ///< Of `arrival` only.
};

/// The charge of an attempt whose prompt has about `input` tokens and whose answer takes at most, or about, `output`:
/// under `arrival` the request's own max_tokens (0 if it has none), under `produced` what answers usually take.
charge charge_for(const accounting& rules, uint64_t input, uint64_t output);

/// What the attempt took, by the usage that came back. `input`: under `produced` without what the provider's cache
/// gave. Under `arrival` nothing comes back, since the provider charged an estimate of its own; what was charged too
/// little is charged now.
charge corrected(const accounting& rules, const charge& reserved, uint64_t input, uint64_t output);

} // namespace modelforge::limits
