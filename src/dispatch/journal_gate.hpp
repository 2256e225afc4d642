#pragma once

#include "dispatch/lane_table.hpp"
#include "limits/rate_limiter.hpp"

#include <chrono>
#include <cstdint>
#include <vector>

namespace modelforge {

/// Sees to it that what is used of the limits is written down before it is used, so that a process which is killed has
/// never used more than its journal says. Each journal allows a part of every lane's limits, for a short time; what
/// goes beyond that has to wait for the next journal. Called by the dispatcher. Holds no clock.
class journal_gate {
public:
  using time_point = limits::time_point;

  /// How long a journal allows what it allows.
  static constexpr limits::duration allowed_for = std::chrono::seconds{1};

  void set(bool on) { on_ = on; }

  /// There are other lanes now; nothing is allowed on them.
  void reset(std::size_t lanes) { left_.assign(lanes, {}); }

  /// What the last journal allowed is allowed no more.
  void expire() { until_ = {}; }

  /// Whether this charge may be made on the lane of that number now; if not, it is what the next journal is to allow.
  bool admits(uint32_t number, const limits::lane& lane, const limits::charge& cost, time_point now);

  void charge(uint32_t number, const limits::charge& cost);

  /// What is to be written down. `last`: nothing is allowed afterwards.
  std::vector<lane_journal> write(const lane_table& lanes, time_point now, bool last);

private:
  bool is_allowed(uint32_t number, const limits::lane& lane, limits::amounts wanted, time_point now) const;

  bool on_ = false;
  time_point until_{};
  limits::amounts wanted_{};          ///< What the next dispatch will charge.
  std::vector<limits::amounts> left_; ///< By lane: what may still be charged before the next journal.
};

} // namespace modelforge
