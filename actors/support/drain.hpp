#pragma once

#include "base/times.hpp"

#include <caf/actor_clock.hpp>
#include <caf/result.hpp>
#include <caf/timespan.hpp>
#include <caf/typed_response_promise.hpp>
#include <caf/unit.hpp>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

namespace modelforge {

/// An actor on its way out: from `begin` on it takes nothing new, at `deadline` it cancels what is left, and who asked
/// hears when nothing is left. The actor asks `is_on` before it takes something, adds `wake_at` to its timer's
/// deadlines, and calls `expire` or `finish` when their time has come. Lives in the actor's state.
class drain_period {
public:
  using time_point = caf::actor_clock::time_point;

  /// Begins to drain; whoever asks again can only shorten the grace period. `idle`: nothing is left already.
  template <class Self>
  caf::result<void> begin(Self* self, caf::timespan grace, bool idle) {
    auto now = self->clock().now();
    auto end = time_after(now, grace);
    deadline_ = on_ ? std::min(deadline_, end) : end;
    on_ = true;
    if (idle)
      return caf::unit;
    auto reply = self->template make_response_promise<void>();
    waiting_.push_back(reply);
    return reply;
  }

  bool is_on() const { return on_; }

  /// When the grace period ends, if anybody waits for that.
  std::optional<time_point> wake_at() const { return waiting_.empty() ? std::nullopt : std::optional{deadline_}; }

  /// Returns, once, that the grace period is over: what is left is to be cancelled.
  bool expire(time_point now) {
    if (!on_ || deadline_ > now)
      return false;
    deadline_ = time_point::max();
    return true;
  }

  /// Nothing is left: who waits for that hears it.
  void finish() {
    for (auto& reply : std::exchange(waiting_, {}))
      reply.deliver();
  }

  /// The actor is wanted again.
  void revoke() {
    on_ = false;
    finish();
  }

private:
  bool on_ = false;
  time_point deadline_{};
  std::vector<caf::typed_response_promise<void>> waiting_;
};

} // namespace modelforge
