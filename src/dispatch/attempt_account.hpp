#pragma once

#include "limits/lane.hpp"
#include "retry/policy.hpp"

#include <modelforge/messages/chat_request.hpp>

#include <cstdint>

namespace modelforge {

/// What a lane did about an attempt that ended.
struct lane_reaction {
  bool was_probe = false;   ///< It was the breaker's probe, and has failed.
  bool waits = false;       ///< It was refused, and the lane waits for that,
  bool as_told = false;     ///< for a time that the provider named.
  bool is_busy = false;     ///< It was refused for load, and others were answered within the last minute.
  bool refuses_key = false; ///< The credential is of no use.
};

/// Counts the attempts of one request, and which of them cost it one of those that it may make. A failed attempt costs
/// nothing where it cannot have run and is no failure of the request's: refused for load while others are answered,
/// say. That ends when it is refused too often although others are not, or for too long. Kept by the dispatcher.
class attempt_account {
public:
  using time_point = limits::time_point;

  /// Attempts dispatched.
  uint32_t made() const { return made_; }

  /// Of these, ended and counted.
  uint32_t spent() const { return spent_; }

  /// Of the latest, in a row, that cost none.
  uint32_t free() const { return free_; }

  /// An attempt is dispatched. `spent_elsewhere`: by others, for the same request.
  void begin(uint32_t spent_elsewhere, uint32_t max_attempts) {
    ++made_;
    is_last_ = spent_elsewhere + spent_ + 1 >= max_attempts;
  }

  struct failed {
    retry::meaning meaning{};
    lane_reaction lane;
    bool is_batch = false;
    bool waits_for_breaker = false; ///< What cannot be sent waits, instead of failing.
    uint64_t answers = 0;           ///< That the lane has had so far.
  };

  /// The attempt has failed. Returns whether it cost nothing.
  bool fail(const failed& how, uint32_t max_attempts, time_point now);

private:
  bool costs_nothing(const failed& how, time_point now);

  uint32_t made_ = 0;
  uint32_t spent_ = 0;
  uint32_t free_ = 0;
  uint32_t passed_ = 0;     ///< How often it was refused again, though others were answered in between.
  uint64_t answers_ = 0;    ///< The lane's, at the latest attempt's end.
  time_point free_since_{}; ///< When the first of `free_` ended.
  bool is_last_ = false;    ///< The attempt under way is the last one that may be made, by the settings when it went.
};

} // namespace modelforge
