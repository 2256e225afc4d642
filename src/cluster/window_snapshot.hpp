#pragma once

#include "limits/rate_limiter.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace modelforge::cluster {

/// What one lane has charged, with what it may charge before the next snapshot.
struct window_lane {
  std::string name;                                     ///< What the lane is called; at most 200 bytes.
  std::vector<limits::rate_limiter::saved_charge> live; ///< By what is left of them, the shortest first.
  limits::amounts open{};                               ///< Under way, or allowed: counts from the takeover on.
};

/// A snapshot is no larger: a store keeps each version of it for a while.
inline constexpr std::size_t max_snapshot = 32u << 10;

/// Writes a snapshot. Charges are joined, rounding up what is left of them, to about 120 for each lane, and to fewer
/// where that would be too large. Empty: even so it is.
std::optional<std::string> write_snapshot(const std::vector<window_lane>& lanes);

/// Reads one; empty: it is none.
std::optional<std::vector<window_lane>> read_snapshot(std::string_view bytes);

} // namespace modelforge::cluster
