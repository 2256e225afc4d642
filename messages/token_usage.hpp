#pragma once

#include <cstdint>

/// What a request took, in tokens.

namespace modelforge {

/// More tokens than any answer of today can have counted: a figure beyond it cannot be right. Usage above these bounds
/// is left out, with a warning, so that a server's nonsense neither breaks sums nor empties a token limit.
inline constexpr uint64_t max_input_tokens = 100'000'000;
inline constexpr uint64_t max_output_tokens = 10'000'000;

/// Tokens as the provider counted them, in one vocabulary: `input` includes what the cache gave, `output` includes
/// reasoning, so nothing is counted twice. Of an answer, never more than the bounds above.
struct token_usage {
  uint64_t input = 0;
  uint64_t output = 0;
  uint64_t cached_read = 0;   ///< Part of `input` that came from the provider's prompt cache.
  uint64_t cache_written = 0; ///< Part of `input` that was written to it.
  uint64_t reasoning = 0;     ///< Part of `output` that was thinking.

  friend bool operator==(const token_usage&, const token_usage&) = default;
};

// What CAF sends: the fields in this order, without names. Whoever changes it raises `wire_version` (node_hello.hpp).
template <class Inspector>
bool inspect(Inspector& f, token_usage& x) {
  return f.object(x).fields(f.field("input", x.input), f.field("output", x.output),
                            f.field("cached_read", x.cached_read), f.field("cache_written", x.cache_written),
                            f.field("reasoning", x.reasoning));
}

} // namespace modelforge
