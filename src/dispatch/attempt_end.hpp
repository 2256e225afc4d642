#pragma once

#include "dispatch/attempt_account.hpp"
#include "dispatch/lane_table.hpp"
#include "limits/rate_limiter.hpp"
#include "retry/policy.hpp"

#include <cstdint>
#include <optional>

namespace modelforge {

/// How an attempt ended.
struct attempt_end {
  std::optional<retry::failed_attempt> failed{}; ///< Empty: it succeeded.
  bool written = true;                           ///< Whether the provider may have counted it.
  bool repeatable = true;                        ///< False: a part of the answer has been used already.
  limits::server_limits told{};
  std::optional<limits::charge> real{};    ///< What it took, if the answer told.
  std::optional<uint64_t> output_tokens{}; ///< Of a good answer.
};

/// Gives the lane back what the attempt held, tells it what the answer told, and has it wait if the attempt was
/// refused.
lane_reaction settle_on_lane(lane_flight& flight, const attempt_end& how, const retry::policy_settings& by,
                             limits::time_point now);

} // namespace modelforge
