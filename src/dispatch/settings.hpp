#pragma once

#include "limits/lane.hpp"
#include "retry/policy.hpp"

#include <modelforge/config/slot_settings.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <vector>

namespace modelforge {

struct dispatcher_settings : queue_settings {
  std::vector<limits::lane_settings> groups{1}; ///< One for each group of models with limits of its own; at least one.
  uint32_t keys = 1;                            ///< Credentials; each has a lane in every group. At least 1.
  retry::policy_settings retry;
  std::array<bool, 2> wait_on_empty_budget{false, true}; ///< By priority: wait, or fail with the original error.
  std::array<bool, 2> wait_when_open{false, true};       ///< By priority: wait while the breaker is open, or fail.
  limits::duration key_pause = std::chrono::minutes{5};  ///< How long a refused credential is left alone.
};

} // namespace modelforge
