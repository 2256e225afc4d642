#include "dispatch/dispatcher.hpp"

#include <algorithm>
#include <utility>

/// The part of the dispatcher that hears what became of attempts.

namespace modelforge {

void dispatcher::written(attempt_id attempt, time_point when) {
  if (auto i = flights_.find(attempt); i != flights_.end())
    i->second.lane->written(i->second.attempt, when);
}

request_id dispatcher::request_of(attempt_id attempt) const {
  auto i = flights_.find(attempt);
  return i != flights_.end() && i->second.owner != nullptr ? i->second.owner->offer.id : request_id{};
}

void dispatcher::begun(attempt_id attempt, time_point now) {
  auto i = flights_.find(attempt);
  if (i == flights_.end())
    return;
  auto& lane = *i->second.lane;
  auto before = lane_table::look(lane);
  lane.begun(i->second.attempt, now);
  lanes_.compare(lane, before, now);
  resume(lane, before.paused_until, now);
  look_again(); // the breaker may have closed, or a slot be free
}

/// Where a pause ends earlier than was told, those who wait for its end come back then.
void dispatcher::resume(const limits::lane& lane, time_point pause, time_point now) {
  auto due = std::max(lane.paused_until(), now);
  if (pause <= due)
    return;
  for (auto& [id, request] : requests_)
    if (request.at == place::waiting && request.lane == &lane && request.held_by == wait_reason::server_wait)
      mailbox_.park(id, due, request.on_empty);
}

dispatcher::settlement dispatcher::end(attempt_id id, const attempt_end& how, time_point now) {
  auto i = flights_.find(id);
  if (i == flights_.end())
    return {};
  auto flight = std::move(i->second);
  flights_.erase(i);
  auto result = settle(flight, how, now);
  if (flight.key == lane_flight::no_key)
    succession_.forget_departed(all_flights(), now);
  return result;
}

dispatcher::settlement dispatcher::settle(flight& flight, const attempt_end& how, time_point now) {
  auto reaction = settle_lane(flight, how, now);
  if (flight.owner == nullptr) {
    counts_.late += !how.failed;
    return {};
  }
  --totals_.in_flight;
  if (how.failed)
    return settle_failure(flight, how, reaction, now);
  ++counts_.answered;
  settlement result{settlement::what::answer, flight.owner->offer.id, {}, {}};
  requests_.erase(result.id);
  return result;
}

/// Gives the lane back what the attempt held, and has it wait if it was refused.
lane_reaction dispatcher::settle_lane(flight& flight, const attempt_end& how, time_point now) {
  auto& lane = *flight.lane;
  auto before = lane_table::look(lane);
  auto result = settle_on_lane(flight, how, settings_.retry, now);
  if (result.refuses_key && keys() > 1 && flight.key != lane_flight::no_key)
    lanes_.take_out(flight.key, now + settings_.key_pause);
  lanes_.compare(lane, before, now);
  if (result.refuses_key)
    lanes_.note_refused_key(lane);
  resume(lane, before.paused_until, now);
  look_again();
  return result;
}

/// Decides whether a request whose attempt has failed is tried again, and when.
dispatcher::settlement dispatcher::settle_failure(flight& of, const attempt_end& how, const lane_reaction& by,
                                                  time_point now) {
  auto& request = *of.owner;
  auto& failed = *how.failed;
  auto has_other_key = lanes_.has_other_key(request.offer.group, of.key, now);
  auto is_free = count_failure(of, failed, by, now);
  auto decision =
    retry::decide(settings_.retry, failed,
                  {request.spent(), request.attempts.free(), request.offer.rank, request.offer.deadline, has_other_key},
                  now, random_);
  auto open = decision.again && how.repeatable ? lanes_.open(request.offer.group, now) : lane_table::open_state{};
  settlement result{settlement::what::answer, request.offer.id, {}, {}};
  result.circuit_open = open.all && !waits_when_open(request.offer);
  if (!decision.again || !how.repeatable || result.circuit_open) {
    ++counts_.failed;
    result.code = decision.again ? failed.code : decision.code;
    result.wait = decision.again ? std::nullopt : decision.wait;
    requests_.erase(result.id);
    return result;
  }
  ++counts_.retries[static_cast<std::size_t>(retry::meaning_of(failed))];
  auto waits_for_breaker = open.all && request.offer.rank == priority::batch;
  if (waits_for_breaker && open.wait && decision.why == wait_reason::backoff)
    decision.due = now + *open.wait + probe_order * request.spent();
  if (is_free && by.waits) // others go first, else one that is refused for its own sake would keep all back
    decision.due = std::max(decision.due, of.lane->paused_until() + std::chrono::milliseconds{1});
  auto is_due = by.as_told ? decision.why == wait_reason::server_wait : request.attempts.free() == 1 && failed.refused;
  request.on_empty = is_due || waits_for_breaker                                 ? retry::when_empty::exempt
                     : settings_.wait_on_empty_budget[index(request.offer.rank)] ? retry::when_empty::wait
                                                                                 : retry::when_empty::fail;
  park(request, decision.due, decision.why);
  result.then = settlement::what::again;
  return result;
}

/// Returns whether the attempt cost its request nothing.
bool dispatcher::count_failure(flight& of, const retry::failed_attempt& why, const lane_reaction& by, time_point now) {
  auto& request = *of.owner;
  attempt_account::failed how;
  how.meaning = retry::meaning_of(why);
  how.lane = by;
  how.is_batch = request.offer.rank == priority::batch;
  how.waits_for_breaker = waits_when_open(request.offer) && settings_.groups[request.offer.group].breaker.enabled;
  how.answers = of.lane->parallel().answers();
  return request.attempts.fail(how, settings_.retry.max_attempts, now);
}

/// What has waited for the breaker begins with few then, which is brake enough: held back for the budget as well, it
/// would come late enough for the next outage.
void dispatcher::exempt(live_request& request) {
  if (std::exchange(request.has_budget, false))
    mailbox_.dropped(request.on_empty);
  request.on_empty = retry::when_empty::exempt;
}

std::optional<dispatcher::attempt_id> dispatcher::withdraw(request_id id, time_point now) {
  auto i = requests_.find(id);
  if (i == requests_.end())
    return {};
  auto attempt = i->second.at == place::in_flight ? i->second.attempt : 0;
  ++counts_.failed;
  remove(i->second, now);
  return attempt;
}

} // namespace modelforge
