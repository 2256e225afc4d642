#include "provider/status.hpp"

#include "provider/masking.hpp"

#include <array>
#include <utility>

namespace modelforge::provider {

namespace {

constexpr std::array<const char*, 4> limit_names = {"requests", "tokens", "input_tokens", "output_tokens"};

lane_status describe_lane(std::string name, limits::lane& lane, dispatcher::time_point now) {
  lane_status result;
  result.name = std::move(name);
  result.breaker = to_string(lane.breaker().current(now));
  result.breaker_openings = lane.breaker().openings();
  result.slots = lane.slots();
  result.in_flight = lane.in_flight();
  if (lane.paused_until() > now)
    result.paused_for = lane.paused_until() - now;
  result.out = lane.is_out(now);
  auto live = lane.limiter().live(now);
  for (std::size_t i = 0; i < limit_names.size(); ++i)
    if (auto limit = lane.limit(static_cast<limits::dimension>(i)))
      result.limits.push_back({limit_names[i], *limit, live[i]});
  for (auto& told : lane.told(now))
    result.limits.push_back(
      {std::string{limit_names[static_cast<std::size_t>(told.of)]} + " of " + std::string{told.model}, told.limit,
       told.used});
  return result;
}

void add_queue(provider_status& result, dispatcher& of, dispatcher::time_point now) {
  auto queue = of.state();
  result.queued = queue.queued[0] + queue.queued[1];
  result.queued_batch = queue.queued[1];
  result.queued_bytes = queue.queued_bytes;
  result.waiting = queue.waiting;
  if (auto next = of.next_try(now); next && result.queued + result.waiting > 0)
    result.next_retry = *next - now;
  result.in_flight = queue.in_flight;
  result.predicted_wait = of.predicted_wait(0, priority::interactive, now);
}

void add_counts(provider_status& result, const dispatcher::counters& counts, uint64_t refused) {
  result.answered = counts.answered;
  result.failed = counts.failed + refused;
  result.late = counts.late;
  result.attempts = counts.attempts;
  for (std::size_t i = 0; i < counts.retries.size(); ++i)
    if (counts.retries[i] > 0)
      result.retries[to_string(static_cast<retry::meaning>(i))] = counts.retries[i];
  for (std::size_t i = 0; i < counts.refused.size(); ++i)
    if (counts.refused[i] > 0)
      result.refusals[to_string(static_cast<dispatcher::reason>(i))] = counts.refused[i];
}

} // namespace

provider_status describe_status(const setup& by, dispatcher& of, const condition& how, dispatcher::time_point now) {
  provider_status result;
  result.name = by.settings.name;
  result.kind = to_string(by.settings.kind);
  result.base_url = by.base_url;
  result.max_concurrent = by.settings.max_concurrent;
  add_queue(result, of, now);
  add_counts(result, of.counts(), how.refused);
  result.draining = how.draining;
  result.problem = how.problem;
  auto is_failing = false;
  for (auto& where : by.lanes()) {
    auto& lane = of.lane_of(where.group, where.key);
    result.lanes.push_back(describe_lane(by.lane_name(where), lane, now));
    is_failing = is_failing || lane.breaker().current(now) != limits::circuit_breaker::state::closed;
  }
  if (is_failing && result.problem.empty()) {
    auto why = make_failure(errc::none, how.trouble);
    mask(*by.secrets, why);
    result.problem = std::move(why.message);
  }
  return result;
}

} // namespace modelforge::provider
