#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <utility>

namespace modelforge::limits {

/// What one that shares has got. Only for `fair_shares`.
struct fair_share {
  double time = 0;   ///< Virtual: grows by the cost of what it was served.
  uint64_t turn = 0; ///< So that equals take turns.
};

/// Whose turn it is, of several that share: start-time fair queueing, see `fair_queue`. `Sharer` is a `fair_share`;
/// each is waiting (has something to be served), idle (has nothing, but may owe), or unknown.
///
/// O(log n) in the number of sharers.
template <class Sharer>
class fair_shares {
public:
  using key = std::pair<double, uint64_t>;

  /// Those that wait, the next one first.
  const std::map<key, Sharer*>& waiting() const { return waiting_; }

  /// Virtual time at which one begins that was idle.
  double now() const { return now_; }

  /// A new one begins here.
  void add(Sharer& x) { x.time = now_; }

  /// One that is new or idle waits from now on.
  void wait(Sharer& x) {
    idle_.erase({x.time, &x});
    x.time = std::max(x.time, now_);
    x.turn = ++turns_;
    waiting_.emplace(key{x.time, x.turn}, &x);
  }

  /// One that waits has nothing left, unserved.
  void rest(Sharer& x) {
    waiting_.erase({x.time, x.turn});
    idle_.emplace(x.time, &x);
  }

  /// One that waits is served, and waits still or not.
  void serve(Sharer& x, double cost, bool waits) {
    most_ = std::max(most_, cost);
    even_ = std::max(even_, now_) + cost / static_cast<double>(waiting_.size());
    now_ = std::max({now_, waiting_.begin()->first.first, even_ - most_});
    waiting_.erase({x.time, x.turn});
    x.time += cost;
    x.turn = ++turns_;
    if (waits)
      waiting_.emplace(key{x.time, x.turn}, &x);
    else
      idle_.emplace(x.time, &x);
  }

  /// Tells `f` who is idle and owes nothing, which need not be known any more.
  template <class F>
  void forget(F f) {
    while (!idle_.empty() && idle_.begin()->first <= now_) {
      auto* x = idle_.begin()->second;
      idle_.erase(idle_.begin());
      f(*x);
    }
  }

  /// Nobody owes anything; those that wait keep their order. Tells `f` who is idle, the one that owed most last.
  template <class F>
  void begin_anew(F f) {
    for (auto& [time, x] : std::exchange(idle_, {})) {
      x->time = 0;
      f(*x);
    }
    now_ = even_ = most_ = 0;
    if (waiting_.empty())
      return;
    std::map<key, Sharer*> waiting;
    for (auto& [key, x] : waiting_) {
      x->time = 0;
      x->turn = ++turns_;
      waiting.emplace(typename fair_shares::key{0, x->turn}, x);
    }
    waiting_.swap(waiting);
  }

  /// Keeps one at hand that `begin_anew` has told.
  void keep(Sharer& x) { idle_.emplace(x.time, &x); }

private:
  std::map<key, Sharer*> waiting_;
  std::set<std::pair<double, Sharer*>> idle_;
  double now_ = 0;
  double even_ = 0; ///< What each would have been served, had all been served at once.
  double most_ = 0; ///< Largest cost since all began.
  uint64_t turns_ = 0;
};

} // namespace modelforge::limits
