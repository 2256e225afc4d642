#pragma once

#include "limits/charge.hpp"

#include <algorithm>
#include <deque>

namespace modelforge::limits {

/// Spaces dispatches evenly, but for a burst: GCRA (ITU-T I.371) with its tolerance counted in requests. Each dispatch
/// moves the theoretical arrival time by its cost; the next may go while at most `burst` - 1 of those before it are
/// ahead of that time. With equal costs this is GCRA with a tolerance of (burst - 1) costs.
class pacer {
public:
  explicit pacer(uint64_t burst) : burst_(std::max<uint64_t>(1, burst)) {}

  void set_burst(uint64_t burst) {
    burst_ = std::max<uint64_t>(1, burst);
    while (times_.size() > burst_)
      times_.pop_front();
  }

  /// When the next one may go; with `before`, if a dispatch of that cost went now.
  time_point ready_at(time_point now, const duration* before = nullptr) const {
    auto count = times_.empty() || last() <= now ? 0 : times_.size();
    if (before == nullptr)
      return count < burst_ ? now : std::max(now, at(0));
    if (count + 1 < burst_)
      return now;
    if (burst_ == 1)
      return std::max(now, (count > 0 ? last() : now) + *before);
    return std::max(now, at(count < burst_ ? 0 : 1));
  }

  void take(duration cost, time_point now) {
    if (times_.empty() || last() <= now) {
      times_.clear();
      given_back_ = duration{0};
    }
    times_.push_back((times_.empty() ? now : last()) + cost + given_back_);
    if (times_.size() > burst_)
      times_.pop_front();
  }

  /// A dispatch cost so much less than was taken for it (more, if negative).
  void give_back(duration cost) {
    if (!times_.empty())
      given_back_ += cost;
  }

  /// Owes no more than until `latest`: what was corrected beyond that is forgiven.
  void cap(time_point latest) {
    if (!times_.empty() && last() > latest)
      given_back_ += last() - latest;
  }

  /// The theoretical arrival time of the next one.
  time_point next(time_point now) const { return times_.empty() ? now : std::max(now, last()); }

private:
  time_point at(std::size_t i) const { return times_[i] - given_back_; }
  time_point last() const { return times_.back() - given_back_; }

  uint64_t burst_;
  std::deque<time_point> times_; ///< Theoretical arrival times after the latest `burst_` dispatches, but for:
  duration given_back_{0};
};

} // namespace modelforge::limits
