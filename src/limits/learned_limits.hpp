#pragma once

#include "limits/charge.hpp"

namespace modelforge::limits {

/// What a provider's answers tell of its limits. It only tightens what is configured, and supplies a limit where none
/// is: headers are hints, since others may share the limit and answers come late.
///
/// `remaining` in the answer to a dispatch caps what may be charged after that dispatch, and refills at limit / window;
/// `reset` says when the limit is whole again, so only an upper bound. Answers to older dispatches than the last one
/// used are ignored.
class learned_limits {
public:
  /// `window`: what a told limit is taken to be enforced over.
  explicit learned_limits(duration window) : window_(window) {}

  void set_window(duration x) { window_ = x; }

  /// Names a dispatch among all of its lane.
  struct mark {
    uint64_t number = 0;
    amounts charged{}; ///< By all dispatches up to and with this one.
  };

  /// Counts a dispatch.
  mark dispatched(const amounts& x);

  /// Takes in the answer to a dispatch. `configured`: the limits within one window that are configured.
  void observe(const mark& of, const server_limits& told, const std::array<std::optional<uint64_t>, 4>& configured,
               time_point now);

  /// The told limit within one window.
  std::optional<uint64_t> limit(dimension d) const { return learned_[static_cast<std::size_t>(d)].limit; }

  /// When `x` may be dispatched as far as the answers tell; with `ahead` charged before it.
  time_point ready_at(const amounts& x, time_point now, const amounts& ahead = {}) const;

private:
  struct bucket {
    std::optional<uint64_t> limit;
    double level = 0; ///< Left at `since`; below 0: more was charged than was left.
    time_point since{};
    double rate = 0;       ///< Refill per nanosecond.
    time_point whole_at{}; ///< From then on the bucket holds nothing back.
    bool caps = false;
  };

  duration window_;
  std::array<bucket, 4> learned_;
  amounts charged_{};
  uint64_t dispatches_ = 0;
  uint64_t last_used_ = 0;
};

} // namespace modelforge::limits
