#include "limits/parallel_limit.hpp"

#include <utility>

namespace modelforge::limits {

namespace {

constexpr uint32_t min_patience = 16; ///< After a refusal that cost no pause.
constexpr uint32_t max_doublings = 6;
constexpr int pause_share = 20; ///< Time between two pauses that finding out costs, in pauses.
constexpr duration longest_patience = std::chrono::hours{1};

} // namespace

// A level that was never lowered follows the bound up; one that was stays where refusals put it.
void parallel_limit::set_max(uint32_t max) {
  max = std::max(1u, max);
  auto is_free = level_ == max_;
  level_ = is_free ? max : std::min(level_, max);
  open_ = is_free && open_ == max_ ? max : std::min(open_, max);
  max_ = max;
}

// During a slow start an answer opens one more place. Later the level rises only by answers that came while it was in
// use, and not right after it fell.
void parallel_limit::answered(uint32_t in_flight, time_point started, time_point now) {
  ++answers_;
  in_a_row_ = 0;
  if (open_ < level_) {
    open_ = std::min(level_, std::max(open_ + 1, std::exchange(after_probe_, 1)));
    return;
  }
  if (level_ == max_ || started < fallen_)
    return;
  if (in_flight > refused_at_) { // it takes more than it did
    refused_at_ = UINT32_MAX;
    doublings_ = 0;
    patience_ = first_patience;
  }
  if (in_flight < level_ || ++credit_ < patience_ || now < not_before_)
    return;
  credit_ = 0;
  open_ = ++level_;
}

void parallel_limit::fall(uint32_t level, time_point now) {
  level_ = std::max(1u, std::min(level_, level));
  credit_ = 0;
  fallen_ = now;
}

// Requests that left before the level fell belong to the same moment: they only correct where it is.
bool parallel_limit::refused(uint32_t in_flight, time_point started, time_point now) {
  auto below = std::max(1u, in_flight) - 1;
  if (fallen_ != time_point{} && started <= fallen_) {
    refused_at_ = std::min(refused_at_, in_flight);
    level_ = std::max(1u, std::min(level_, below));
    open_ = std::min(open_, level_);
    return false;
  }
  refused_at_ = in_flight;
  fall(below, now);
  open_ = after_probe_ = 1;
  ++in_a_row_;
  patience_ = first_patience << doublings_;
  doublings_ = std::min(doublings_ + 1, max_doublings);
  return true;
}

void parallel_limit::paused(time_point until, time_point now) {
  auto length = std::min<duration>(std::max(duration{0}, until - now), longest_patience / pause_share);
  not_before_ = std::max(not_before_, until + length * pause_share);
}

// Without a pause there is no probe: the level falls a little, and nothing stops.
void parallel_limit::strained(uint32_t in_flight, uint32_t in_use, time_point started, time_point now) {
  if (fallen_ != time_point{} && started <= fallen_)
    return;
  in_use = std::max(1u, std::min(level_, in_use));
  refused_at_ = in_flight;
  patience_ = min_patience;
  fall(std::max(std::max(1u, in_flight) - 1, in_use - (in_use + 3) / 4), now);
  open_ = std::min(open_, level_);
}

} // namespace modelforge::limits
