#pragma once

#include <modelforge/messages/completion.hpp>

#include <optional>

namespace modelforge::batch {

/// Adds what an item took to a sum.
inline void add_to(token_usage& sum, const token_usage& more) {
  sum.input += more.input;
  sum.output += more.output;
  sum.cached_read += more.cached_read;
  sum.cache_written += more.cache_written;
  sum.reasoning += more.reasoning;
}

/// Likewise for money; a sum of costs of which none is known is not known.
inline void add_to(std::optional<double>& sum, std::optional<double> more) {
  if (more)
    sum = sum.value_or(0) + *more;
}

/// Whether something was paid for it, and how much is not known. `is_answer`: it came to one.
inline bool is_unpriced(bool is_answer, const std::optional<token_usage>& usage, const std::optional<double>& cost) {
  return !cost && (is_answer || usage);
}

} // namespace modelforge::batch
