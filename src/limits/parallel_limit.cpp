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
  start_.open = is_free && start_.open == max_ ? max : std::min(start_.open, max);
  max_ = max;
}

// During a slow start an answer opens one more place. Later the level rises only by answers that came while it was in
// use, and not right after it fell.
void parallel_limit::answered(uint32_t in_flight, time_point started, time_point now) {
  ++answers_;
  in_a_row_ = 0;
  cause_.answered();
  calm_ = std::min(calm_ + 1, proof);
  if (start_.open < level_) {
    start_.open = std::min(level_, std::max(start_.open + 1, std::exchange(start_.after_probe, 1)));
    return;
  }
  if (level_ == max_ || started < fallen_)
    return;
  if (in_flight > refused_at_) { // it takes more than it did
    refused_at_ = UINT32_MAX;
    patience_ = {};
  }
  if (in_flight < level_ || ++credit_ < patience_.answers || now < not_before_)
    return;
  credit_ = calm_ = 0;
  start_.open = level_ += std::min(max_ - level_, step_);
  step_ *= 2;
}

void parallel_limit::fall(uint32_t level, time_point now) {
  level_ = std::max(1u, std::min(level_, level));
  credit_ = calm_ = 0;
  step_ = 1;
  fallen_ = now;
}

// Requests that left before the level fell belong to the same moment: they only correct where it is.
bool parallel_limit::refused(uint32_t in_flight, time_point started, time_point now) {
  auto below = std::max(1u, in_flight) - 1;
  if (fallen_ != time_point{} && started <= fallen_) {
    refused_at_ = std::min(refused_at_, in_flight);
    level_ = std::max(1u, std::min(level_, below));
    start_.open = std::min(start_.open, level_);
    return false;
  }
  refused_at_ = in_flight;
  fall(below, now);
  start_.open = start_.after_probe = 1;
  ++in_a_row_;
  patience_.answers = patience::first << patience_.doublings;
  patience_.doublings = std::min(patience_.doublings + 1, max_doublings);
  return true;
}

void parallel_limit::paused(time_point until, time_point now) {
  auto length = std::min<duration>(std::max(duration{0}, until - now), longest_patience / pause_share);
  not_before_ = std::max(not_before_, until + length * pause_share);
}

// If the level proves not to be the cause, it goes back to its bound, one more place with each answer.
bool parallel_limit::may_be_load(uint32_t in_use) {
  if (cause_.refused(std::max(1u, std::min(level_, in_use))))
    return true;
  level_ = max_;
  return false;
}

// Without a pause there is no probe: the level falls a little, and nothing stops. What came right after a rise says
// that the rise was too much.
void parallel_limit::strained(uint32_t in_flight, uint32_t in_use, time_point started, time_point now) {
  if (std::exchange(calm_, 0) >= proof || (fallen_ != time_point{} && started <= fallen_))
    return;
  in_use = std::max(1u, std::min(level_, in_use));
  refused_at_ = in_flight;
  patience_.answers = min_patience;
  fall(std::max(std::max(1u, in_flight) - 1, in_use - (in_use + 3) / 4), now);
  start_.open = std::min(start_.open, level_);
}

} // namespace modelforge::limits
