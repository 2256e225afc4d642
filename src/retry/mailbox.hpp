#pragma once

#include "retry/budget.hpp"
#include "retry/due_queue.hpp"

#include <array>
#include <unordered_map>

namespace modelforge::retry {

/// What becomes of a retry that falls due while the budget is empty.
enum class when_empty : uint8_t {
  exempt, ///< Nothing: it is not charged, because it kept a wait that the provider named.
  wait,
  fail,
};

/// Attempts that wait for their time. A waiting attempt holds no slot and no charge.
///
/// One that falls due is released where the budget allows it; else it waits on, fails, or goes without, as it was
/// parked with (`when_empty`). Budget is promised at the release (`released_`) and spent at the dispatch, so that no
/// two share the same part of it; a release must therefore end in `dispatched` or `dropped`. A queue may hold entries
/// of what was withdrawn or parked anew: only those that agree with `parked_` count (`holds`).
///
/// Used by the dispatcher alone. A plain class: `now` comes as an argument and never goes back.
class mailbox {
public:
  using time_point = budget::time_point;

  void park(request_id id, time_point due, when_empty then);

  /// Takes one back. False if it does not wait here.
  bool withdraw(request_id id);

  struct release {
    request_id id;
    bool has_budget = true; ///< False: the budget is empty, and the request wants to fail then.
  };

  /// The next one whose time has come. One with budget keeps its part of it until `dispatched` or `dropped`.
  std::optional<release> next(time_point now);

  /// A first attempt is dispatched: it earns budget.
  void first(time_point now) { budget_.first(now); }

  /// Whether a released retry may be dispatched still: what first attempts earned passes.
  bool may_dispatch(when_empty then, time_point now) {
    return then == when_empty::exempt || budget_.available(now) > 0;
  }

  /// A released retry is dispatched.
  void dispatched(when_empty then, time_point now);

  /// A released retry goes no further.
  void dropped(when_empty then);

  /// When `next` has something to tell; `time_point::max()`: never, as things stand.
  time_point wake_at(time_point now);

  std::size_t size() const { return parked_.size(); }

  /// When the earliest of those that wait is due.
  std::optional<time_point> next_due();

private:
  struct place {
    time_point due;
    when_empty then;
  };

  due_queue& queue(when_empty which) { return queues_[static_cast<std::size_t>(which)]; }
  /// Tells which entries of a queue still hold.
  auto holds(when_empty then) const {
    return [this, then](request_id id, time_point due) {
      auto i = parked_.find(id);
      return i != parked_.end() && i->second.due == due && i->second.then == then;
    };
  }

  std::optional<time_point> earliest(when_empty which) { return queue(which).earliest(holds(which)); }
  std::optional<request_id> pop(when_empty which, time_point now);
  bool has_budget(time_point now) { return budget_.available(now) > released_; }

  budget budget_;
  uint64_t released_ = 0; ///< On their way to be dispatched, and charged then.
  std::array<due_queue, 3> queues_;
  std::unordered_map<request_id, place> parked_;
};

} // namespace modelforge::retry
