#pragma once

#include "actors/support/mail.hpp"

#include <caf/local_actor.hpp>

#include <functional>
#include <optional>
#include <set>
#include <utility>

namespace modelforge {

/// An actor's one timer, which stands at its earliest deadline. CAF 0.18 keeps all timers in one sorted list, so a
/// timer for each request would cost hundreds of microseconds at ten thousand of them.
///
/// It is re-armed lazily: a wake-up that is set stays set, and another one is set only for an earlier time. So a
/// wake-up may come with nothing to do, and never comes late. Lives in the actor's state, and is called inside the
/// actor.
class timer {
public:
  using time_point = caf::actor_clock::time_point;

  /// `on_time` runs inside `self` at every wake-up; it is to end in `arm`.
  timer(caf::local_actor* self, std::function<void()> on_time) : self_(self), on_time_(std::move(on_time)) {}

  timer(const timer&) = delete; // its wake-ups know where it lives
  timer& operator=(const timer&) = delete;

  /// Has the actor woken at or before `next`; empty, or the end of time: there is nothing to wait for.
  void arm(std::optional<time_point> next) {
    if (!next || *next == time_point::max() || (!pending_.empty() && *pending_.begin() <= *next))
      return;
    pending_.insert(*next);
    run_at(self_, *next, [this] { // inside the actor, if it has not ended: then its state, and this, is there
      pending_.erase(pending_.begin(), pending_.upper_bound(self_->clock().now()));
      on_time_();
    });
  }

  /// The earlier one of two deadlines; empty: never.
  static std::optional<time_point> earlier_of(std::optional<time_point> a, std::optional<time_point> b) {
    return !a || (b && *b < *a) ? b : a;
  }

private:
  caf::local_actor* self_;
  std::function<void()> on_time_;
  std::set<time_point> pending_; ///< Wake-ups that are set and have not come.
};

} // namespace modelforge
