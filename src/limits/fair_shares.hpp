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
/// O(log n) in the number of sharers. Used by `fair_queue` twice, for nodes and for their tenants.
template <class Sharer>
class fair_shares {
public:
  using key = std::pair<double, uint64_t>;

  /// Those that wait, the next one first.
  const std::map<key, Sharer*>& waiting() const { return waiting_; }

  /// Virtual time at which one begins that was idle.
  double now() const { return now_; }

  /// A new one begins here.
  void add(Sharer& sharer) { sharer.time = now_; }

  /// One that is new or idle waits from now on.
  void wait(Sharer& sharer) {
    idle_.erase({sharer.time, &sharer});
    sharer.time = std::max(sharer.time, now_);
    sharer.turn = ++turns_;
    waiting_.emplace(key{sharer.time, sharer.turn}, &sharer);
  }

  /// One that waits has nothing left, unserved.
  void rest(Sharer& sharer) {
    waiting_.erase({sharer.time, sharer.turn});
    idle_.emplace(sharer.time, &sharer);
  }

  /// One that waits is served, and waits still or not.
  void serve(Sharer& sharer, double cost, bool waits) {
    max_cost_ = std::max(max_cost_, cost);
    even_ = std::max(even_, now_) + cost / static_cast<double>(waiting_.size());
    now_ = std::max({now_, waiting_.begin()->first.first, even_ - max_cost_});
    waiting_.erase({sharer.time, sharer.turn});
    sharer.time += cost;
    sharer.turn = ++turns_;
    if (waits)
      waiting_.emplace(key{sharer.time, sharer.turn}, &sharer);
    else
      idle_.emplace(sharer.time, &sharer);
  }

  /// Tells `f` who is idle and owes nothing, which need not be known any more.
  template <class F>
  void forget(F f) {
    while (!idle_.empty() && idle_.begin()->first <= now_) {
      auto* sharer = idle_.begin()->second;
      idle_.erase(idle_.begin());
      f(*sharer);
    }
  }

  /// Nobody owes anything; those that wait keep their order. Tells `f` who is idle, the one that owed most last.
  template <class F>
  void begin_anew(F f) {
    for (auto& [time, sharer] : std::exchange(idle_, {})) {
      sharer->time = 0;
      f(*sharer);
    }
    now_ = even_ = max_cost_ = 0;
    if (waiting_.empty())
      return;
    std::map<key, Sharer*> waiting;
    for (auto& [key, sharer] : waiting_) {
      sharer->time = 0;
      sharer->turn = ++turns_;
      waiting.emplace(typename fair_shares::key{0, sharer->turn}, sharer);
    }
    waiting_.swap(waiting);
  }

  /// Keeps one at hand that `begin_anew` has told.
  void keep(Sharer& sharer) { idle_.emplace(sharer.time, &sharer); }

private:
  std::map<key, Sharer*> waiting_;
  std::set<std::pair<double, Sharer*>> idle_;
  double now_ = 0;
  double even_ = 0;     ///< What each would have been served, had all been served at once.
  double max_cost_ = 0; ///< Largest cost since all began.
  uint64_t turns_ = 0;
};

} // namespace modelforge::limits
