#include "provider/status.hpp"

#include "provider/masking.hpp"

#include <array>
#include <utility>

namespace modelforge::provider {

namespace {

constexpr std::array<const char*, 4> limit_names = {"requests", "tokens", "input_tokens", "output_tokens"};

/// A lane with its own limits, and behind them those that answers told of single models.
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

/// What waits, and how long a small interactive request would wait now.
void add_queue(provider_status& result, dispatcher& source, dispatcher::time_point now) {
  auto queue = source.state();
  result.queued = queue.queued[0] + queue.queued[1];
  result.queued_batch = queue.queued[1];
  result.queued_bytes = queue.queued_bytes;
  result.waiting = queue.waiting;
  if (auto next = source.next_try(now); next && result.queued + result.waiting > 0)
    result.next_retry = *next - now;
  result.in_flight = queue.in_flight;
  result.predicted_wait = source.predicted_wait(0, priority::interactive, now);
}

/// Counts since the actor began. Reasons that never occurred are left out.
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

provider_status describe_status(const setup& setup, dispatcher& source, const condition& condition,
                                dispatcher::time_point now) {
  provider_status result;
  result.name = setup.settings.name;
  result.kind = to_string(setup.settings.kind);
  result.base_url = setup.base_url;
  result.max_concurrent = setup.settings.max_concurrent;
  add_queue(result, source, now);
  add_counts(result, source.counts(), condition.refused);
  result.draining = condition.draining;
  result.problem = condition.problem;
  auto is_failing = false;
  for (auto& where : setup.lanes()) {
    auto& lane = source.lane_of(where.group, where.key);
    result.lanes.push_back(describe_lane(setup.lane_name(where), lane, now));
    is_failing = is_failing || lane.breaker().current(now) != limits::circuit_breaker::state::closed;
  }
  if (is_failing && result.problem.empty()) {
    auto why = make_failure(errc::none, condition.trouble);
    mask(*setup.secrets, why);
    result.problem = std::move(why.message);
  }
  return result;
}

} // namespace modelforge::provider
