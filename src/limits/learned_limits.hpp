#pragma once

#include "limits/charge.hpp"

namespace modelforge::limits {

/// What a provider's answers tell of one model's limits. It only tightens what is configured, and supplies a limit
/// where none is: headers are hints, since others may share the limit, answers come late, and a proxy may be wrong.
///
/// `remaining` in the answer to a dispatch caps what may be charged after that dispatch, and refills at limit / window;
/// `reset` says when the limit is whole again, so only an upper bound. Answers to older dispatches than the last one
/// used are ignored.
///
/// What was told is believed for `kept_windows` windows. A limit that no answer confirms within them is forgotten. Of
/// what remained, once they have passed and the limit is not whole again, one dispatch finds out: its answer counts
/// anew, and if a good one has not a word of that limit, nothing is held back any more; failing both, the next may try
/// after as many windows again.
///
/// Part of `model_limits`. A plain class: holds no clock. `now` never goes back.
class learned_limits {
public:
  static constexpr int kept_windows = 3;

  /// `window`: what a told limit is taken to be enforced over.
  explicit learned_limits(duration window) : window_(window) {}

  void set_window(duration window) { window_ = window; }

  /// Names a dispatch among all of its model.
  struct mark {
    uint64_t number = 0;
    amounts charged{}; ///< By all dispatches up to and with this one.
  };

  /// Counts a dispatch.
  mark dispatched(const amounts& wanted, time_point now);

  /// Takes in the answer to a dispatch; `good`: it was answered, not refused. `configured`: the limits within one
  /// window that are configured.
  void observe(const mark& dispatch, const server_limits& told,
               const std::array<std::optional<uint64_t>, 4>& configured, time_point now, bool good = true);

  /// The told limit within one window, unless it is forgotten.
  std::optional<uint64_t> limit(dimension d, time_point now) const;

  /// When the limit will be forgotten, if nothing confirms it.
  time_point forgotten_at(dimension d) const { return learned_[static_cast<std::size_t>(d)].heard + kept(); }

  /// When `wanted` may be dispatched as far as the answers tell, and are believed; with `ahead` charged before it.
  time_point ready_at(const amounts& wanted, time_point now, const amounts& ahead = {}) const;

  /// When `wanted` may be dispatched if the answers are right: later than `ready_at` where they are believed for a
  /// shorter time. Now, if it may find out.
  time_point told_at(const amounts& wanted, time_point now, const amounts& ahead = {}) const;

  /// Whether nothing is known any more.
  bool empty(time_point now) const;

private:
  struct bucket {
    std::optional<uint64_t> limit;
    time_point heard{}; ///< When the limit was told last.
    double level = 0;   ///< Left at `since`; below 0: more was charged than was left.
    time_point since{};
    double rate = 0;       ///< Refill per nanosecond.
    time_point whole_at{}; ///< From then on the bucket holds nothing back.
    time_point believed_until{};
    uint64_t trial = 0; ///< Number of the dispatch that finds out; 0: none.
    bool caps = false;

    bool holds(time_point now) const { return caps && whole_at > now; }
    time_point ready_at(double wanted, time_point now) const;
  };

  duration kept() const { return kept_windows * window_; }

  duration window_;
  std::array<bucket, 4> learned_;
  amounts charged_{};
  uint64_t dispatches_ = 0;
  uint64_t last_used_ = 0;
};

} // namespace modelforge::limits
