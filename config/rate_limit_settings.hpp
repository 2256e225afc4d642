#pragma once

#include <modelforge/messages/enums.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

/// Part of config/settings.hpp: a provider's limits, as they are set.

namespace modelforge {

using duration = std::chrono::nanoseconds;

/// What a restarted provider actor takes as used of its window.
enum class window_start : uint8_t { restore, full, empty };

template <>
inline constexpr auto enum_names<window_start> = std::to_array<std::string_view>({"restore", "full", "empty"});

/// Which tokens a provider counts, and when. `automatic`: as its kind is known to.
enum class counted_tokens : uint8_t { automatic, arrival, produced, input, none };

template <>
inline constexpr auto enum_names<counted_tokens> = std::to_array<std::string_view>({"automatic", "arrival", "produced",
                                                                                    "input", "none"});

/// A provider's published limits. What is not set is not limited (or learned from headers).
struct rate_limit_settings {
  std::optional<uint64_t> requests_per_minute;
  std::optional<uint64_t> tokens_per_minute;
  std::optional<uint64_t> input_tokens_per_minute;
  std::optional<uint64_t> output_tokens_per_minute;
  uint64_t burst = 10;                                   ///< Requests that may be sent at once after an idle period.
  duration window = std::chrono::seconds{60};            ///< The limit is enforced per this time, scaled to it.
  duration window_guard = std::chrono::milliseconds{50}; ///< Allowance for differing network delays.
  window_start on_start = window_start::restore;
  counted_tokens token_accounting = counted_tokens::automatic;

  friend bool operator==(const rate_limit_settings&, const rate_limit_settings&) = default;
};

} // namespace modelforge
