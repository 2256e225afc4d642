#include "dispatch/attempt_account.hpp"

#include <algorithm>
#include <chrono>

namespace modelforge {

namespace {

/// So often a request may be refused again, though others are answered in between, before it is suspected to be refused
/// for its own sake; and so often in all before that is taken for certain.
constexpr uint32_t passed_if_suspected = 5;
constexpr uint32_t max_passed = 25;

/// And so long it may be refused in a row at all.
constexpr auto longest_refusal = std::chrono::hours{24};

} // namespace

bool attempt_account::fail(const failed& how, uint32_t max_attempts, time_point now) {
  auto is_free = costs_nothing(how, now);
  spent_ += !is_free;
  if (!is_free && is_last_) // whatever is allowed since
    spent_ = std::max(spent_, max_attempts);
  free_ = is_free ? free_ + 1 : 0;
  return is_free;
}

bool attempt_account::costs_nothing(const failed& how, time_point now) {
  auto waits = how.is_batch && (how.lane.waits || how.lane.is_busy);
  auto is_unsent = how.meaning == retry::meaning::unsent;
  auto cannot_have_run = is_unsent || how.meaning == retry::meaning::overload; // other 5xx may have
  auto waits_for_breaker = is_unsent && how.is_batch && how.waits_for_breaker;
  if (how.meaning != retry::meaning::refused && !(how.lane.was_probe && cannot_have_run) && !waits
      && !waits_for_breaker)
    return false;
  passed_ += waits && made_ > 1 && (how.answers != answers_ || passed_ >= passed_if_suspected);
  answers_ = how.answers;
  if (free_ == 0)
    free_since_ = now;
  return passed_ <= max_passed && now - free_since_ < longest_refusal;
}

} // namespace modelforge
