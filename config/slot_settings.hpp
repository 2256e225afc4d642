#pragma once

#include <cstdint>

/// Part of config/settings.hpp: how many requests of a provider are sent at a time, and how many may wait.

namespace modelforge {

/// Requests in flight, as they are set for a provider and as a lane goes by them.
struct slot_settings {
  uint32_t max_concurrent = 16;   ///< Requests in flight, for each key; at least 1.
  uint32_t interactive_slots = 1; ///< Of these, kept free of batch items; less than the former.
  bool adaptive = false;          ///< Whether the number in flight follows the latency.

  friend bool operator==(const slot_settings&, const slot_settings&) = default;
};

/// Requests that wait at one provider, as they are set for the runtime and as the dispatcher goes by them.
struct queue_settings {
  uint32_t max_queued = 10'000;
  uint64_t max_queued_bytes = 256u << 20; ///< Their messages together.

  friend bool operator==(const queue_settings&, const queue_settings&) = default;
};

} // namespace modelforge
