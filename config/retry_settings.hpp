#pragma once

#include <modelforge/messages/enums.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>

/// Part of config/settings.hpp: what retries go by, as they are set and as they are used.

namespace modelforge {

using duration = std::chrono::nanoseconds;

/// What a retry does that finds the retry budget empty. `automatic`: wait for batch items, fail for interactive ones.
enum class empty_budget : uint8_t { automatic, wait, fail };

template <>
inline constexpr auto enum_names<empty_budget> = std::to_array<std::string_view>({"automatic", "wait", "fail"});

struct retry_settings {
  uint32_t max_attempts = 3; ///< All attempts of a request, the first included.
  double backoff_factor = 2.0;
  duration base_wait = std::chrono::milliseconds{500};  ///< Upper bound of the first pause (full jitter).
  duration max_wait = std::chrono::seconds{60};         ///< Caps our own pauses, never a server's.
  duration max_server_wait = std::chrono::seconds{120}; ///< Longest server-named wait that interactive requests accept.
  duration max_batch_server_wait = std::chrono::hours{24}; ///< Longest one that batch items keep; then one tries.
  bool respect_retry_after = true;
  bool retry_uncertain = true; ///< Whether a request that may have run is sent again.
  empty_budget on_empty_budget = empty_budget::automatic;

  friend bool operator==(const retry_settings&, const retry_settings&) = default;
};

} // namespace modelforge
