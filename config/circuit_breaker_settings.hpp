#pragma once

#include <modelforge/messages/enums.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>

/// Part of config/settings.hpp: what the circuit breaker goes by, as it is set and as it is used.

namespace modelforge {

using duration = std::chrono::nanoseconds;

/// What happens to a request while the breaker is open. `automatic`: wait for batch items, fail for interactive ones.
enum class when_open : uint8_t { automatic, wait, fail };

template <>
inline constexpr auto enum_names<when_open> = std::to_array<std::string_view>({"automatic", "wait", "fail"});

struct circuit_breaker_settings {
  bool enabled = true;
  uint32_t consecutive_failures = 5; ///< Opens after this many consecutive failures.
  double failure_share = 0.5;        ///< Opens when this share of a window failed. 0 switches it off.
  uint32_t min_samples = 20;         ///< Fewest results in the window before a share counts.
  duration sample_window = std::chrono::seconds{30};
  duration slow_after = std::chrono::seconds{0}; ///< An answer slower than this counts as failed. 0: never.
  duration open_for = std::chrono::seconds{10};  ///< Until the first probe.
  uint32_t probes = 1;                           ///< Requests let through at a time while half open.
  when_open when = when_open::automatic;         ///< TOML: `when_open`.

  friend bool operator==(const circuit_breaker_settings&, const circuit_breaker_settings&) = default;
};

} // namespace modelforge
