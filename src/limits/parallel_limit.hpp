#pragma once

#include "limits/charge.hpp"
#include "limits/strain_cause.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace modelforge::limits {

/// How many requests a server takes at once, learned from what it refuses: also where no limit is published and nobody
/// asked to follow the latency (`concurrency_limit`). Without refusals it is soon as if it were not there.
///
/// - It begins with `first`, and one more for each answer: twice as many with each round. So the first burst is no
///   storm.
/// - A refusal that the lane answers by waiting (429, 503 with a wait): the level falls below the number that was in
///   flight when the refused request went out, and after the pause one goes, then one more for each answer, up to the
///   level (slow start). So a server that takes k at once refuses what went out above k in one go, and then no more.
/// - A refusal for load that names no wait (503, 529) may be bad luck: the first one after 16 answers at one level is
///   let pass. With the next the level falls below that number, too, but by a quarter of what is in flight at most, and
///   nothing stops. Where refusals go on as before though it has fallen by half, it rises again, and they lower it no
///   more (`strain_cause`).
///
/// What belongs to one moment counts once: requests that went out before the level last fell only tell more exactly
/// where it is. The level rises by one, then by two, four and so on until a refusal comes, each time when so many
/// answers came while it was in use: 16, doubled with each further refusal that costs a pause, and not before twenty
/// times that pause has passed, so that finding out costs a twentieth of the time at most. Refusals therefore stay
/// below one for each pause and a tenth of the answers.
///
/// Part of `lane`, which holds batch items by it. A plain class: holds no clock. `now` never goes back. Every call is
/// O(1) and allocates nothing.
class parallel_limit {
public:
  explicit parallel_limit(uint32_t max, uint32_t first = UINT32_MAX)
    : max_(std::max(1u, max)), level_(max_), start_{std::clamp(first, 1u, max_), std::clamp(first, 1u, max_)} {}

  /// Takes another bound; what was learned stays.
  void set_max(uint32_t max);

  /// Requests that may be in flight. After it was lowered more may be.
  uint32_t limit() const { return std::min(start_.open, level_); }

  /// Whether refusals have lowered it.
  bool is_limiting() const { return limit() < max_; }

  /// A request was answered that had gone out at `started`, as the `in_flight`th.
  void answered(uint32_t in_flight, time_point started, time_point now);

  /// One was refused, and the lane will wait. Returns whether this is a new moment: false if the lane waits for it
  /// already.
  bool refused(uint32_t in_flight, time_point started, time_point now);

  /// The lane waits until then for what was refused.
  void paused(time_point until, time_point now);

  /// One was refused for load, without a wait, of `in_use` that were in flight then. Returns whether that may be why;
  /// else the refusal says nothing of how much the server takes, and neither `refused` nor `strained` is called.
  bool may_be_load(uint32_t in_use);

  /// One was refused for load, without a wait, of `in_use` that were in flight then.
  void strained(uint32_t in_flight, uint32_t in_use, time_point started, time_point now);

  /// All goes anew: nothing went for a while, because the server was in trouble. One goes first, and when it is
  /// answered, as many as at the beginning.
  void restart() {
    start_.open = 1;
    start_.after_probe = start_.first;
  }

  /// Moments of refusals since the latest answer.
  uint32_t in_a_row() const { return in_a_row_; }

  /// Answers so far.
  uint64_t answers() const { return answers_; }

private:
  /// After a pause, and at the beginning, each answer opens one more place.
  struct slow_start {
    uint32_t open;            ///< Less than the level, while it lasts.
    uint32_t first;           ///< Of the very first one.
    uint32_t after_probe = 1; ///< What is open at least with the next answer.
  };

  /// Answers in use that let the level rise.
  struct patience {
    static constexpr uint32_t first = 16;

    uint32_t answers = first;
    uint32_t doublings = 0; ///< By refusals that cost a pause.
  };

  static constexpr uint32_t proof = 16; ///< Answers in a row at one level: then one refusal for load is let pass.

  void fall(uint32_t level, time_point now);

  strain_cause cause_;
  uint32_t max_;
  uint32_t level_; ///< What the server takes, as far as is known.
  slow_start start_;
  patience patience_;
  uint32_t refused_at_ = UINT32_MAX; ///< In flight, at the latest refusal.
  uint32_t credit_ = 0;              ///< Answers while the level was in use.
  uint32_t step_ = 1;                ///< By which the level rises next: at most twice the level.
  uint32_t calm_ = 0;                ///< Answers since the level changed, or the latest refusal for load.
  uint32_t in_a_row_ = 0;
  uint64_t answers_ = 0;
  time_point fallen_{};     ///< When the level last fell.
  time_point not_before_{}; ///< The level rises no earlier, whatever is answered.
};

} // namespace modelforge::limits
