#include "dispatch/lane_table.hpp"

#include <algorithm>

namespace modelforge {

namespace {

/// That nobody collects.
constexpr std::size_t max_events = 1000;

} // namespace

lane_table::lane_table(const dispatcher_settings& settings) : keys_(std::max(1u, settings.keys)) {
  std::vector<std::shared_ptr<limits::key_slots>> slots;
  for (uint32_t key = 0; key < keys_; ++key)
    slots.push_back(std::make_shared<limits::key_slots>());
  for (uint32_t group = 0; group < settings.groups.size(); ++group)
    for (auto& key : slots)
      lanes_.push_back(std::make_unique<limits::lane>(settings_of(settings, group), key));
}

bool lane_table::contains(const limits::lane* lane) const {
  return std::any_of(lanes_.begin(), lanes_.end(), [lane](auto& own) { return own.get() == lane; });
}

// -- what becomes of them -----------------------------------------------------------

/// Empty: it is none of these any more, and what becomes of it concerns nobody.
std::optional<uint32_t> lane_table::find(const limits::lane& lane) const {
  auto found = std::find_if(lanes_.begin(), lanes_.end(), [&](auto& own) { return own.get() == &lane; });
  if (found == lanes_.end())
    return {};
  return static_cast<uint32_t>(found - lanes_.begin());
}

void lane_table::note(const limits::lane& lane, const view& before, time_point now) {
  using change = lane_event::change;
  auto& breaker = lane.breaker();
  if (breaker.changes() != before.changes) {
    switch (breaker.current(now)) {
      case limits::circuit_breaker::state::open:
        add_event(lane, {change::opened, 0, 0, breaker.ready_at(now) - now, before.failures + 1});
        break;
      case limits::circuit_breaker::state::half_open:
        add_event(lane, {change::half_open});
        break;
      case limits::circuit_breaker::state::closed:
        add_event(lane, {change::closed});
        break;
    }
  }
  if (before.paused_until <= now && lane.paused_until() > now) // one that is lengthened is no news
    add_event(lane, {change::paused, 0, 0, lane.paused_until() - now});
}

void lane_table::note_refused_key(const limits::lane& lane) {
  add_event(lane, {lane_event::change::key_refused});
}

void lane_table::add_event(const limits::lane& of, lane_event happened) {
  auto number = find(of);
  if (!number || events_.size() >= max_events)
    return;
  happened.group = *number / keys_;
  happened.key = key_of(*number);
  events_.push_back(happened);
}

void lane_table::reconfigure(const dispatcher_settings& settings) {
  for (uint32_t i = 0; i < lanes_.size(); ++i)
    lanes_[i]->reconfigure(settings_of(settings, i / keys_));
}

void lane_table::assign(list lanes, uint32_t keys) {
  lanes_ = std::move(lanes);
  keys_ = keys;
}

limits::lane_settings lane_table::settings_of(const dispatcher_settings& settings, uint32_t group) {
  auto result = settings.groups[group];
  result.max_server_wait = {settings.retry.max_server_wait, settings.retry.max_batch_server_wait};
  return result;
}

// -- of a group -----------------------------------------------------------------------

lane_table::open_state lane_table::open(uint32_t group, time_point now) const {
  open_state result;
  for (uint32_t key = 0; key < keys_; ++key) {
    auto& lane = at(group, key);
    if (lane.is_out(now))
      continue;
    result.all = true;
    auto ready = lane.breaker().ready_at(now);
    if (ready <= now)
      return {};
    if (ready != time_point::max() && (!result.wait || ready - now < *result.wait))
      result.wait = ready - now;
  }
  return result;
}

std::optional<lane_table::excess> lane_table::over_limit(uint32_t group, const limits::amounts& least) const {
  excess result;
  for (uint32_t key = 0; key < keys_; ++key) {
    auto& lane = at(group, key);
    auto over = lane.limiter().never_fits(least);
    if (!over)
      return {};
    result = {*over, *lane.limit(*over), limits::at(least, *over)};
  }
  return result;
}

lane_table::choice lane_table::choose(uint32_t group, const limits::charge& cost, priority rank, std::string_view model,
                                      time_point now) const {
  auto first = number_of(group, 0);
  auto all_out = true;
  for (uint32_t i = first; i < first + keys_; ++i)
    all_out = all_out && lanes_[i]->is_out(now);
  choice best{first, {time_point::max(), wait_reason::slot}};
  for (uint32_t i = first; i < first + keys_; ++i) {
    auto& lane = *lanes_[i];
    if (lane.is_out(now) && !all_out)
      continue;
    auto when = lane.ready(cost, rank, now, nullptr, model);
    best.told = std::min(best.told, when.told);
    auto better = when.at <= now && best.when.at <= now ? lane.in_flight() < lanes_[best.lane]->in_flight()
                                                        : when.at < best.when.at;
    if (better) {
      best.lane = i;
      best.when = when;
    }
  }
  return best;
}

lane_table::time_point lane_table::predict(uint32_t group, const limits::lane::forecast& request,
                                           time_point now) const {
  auto best = time_point::max();
  for (uint32_t key = 0; key < keys_; ++key)
    best = std::min(best, at(group, key).predict(request, now));
  return best;
}

bool lane_table::goes_before(time_point deadline, uint32_t group, const limits::lane::forecast& request,
                             time_point now) const {
  for (uint32_t key = 0; key < keys_; ++key)
    if (at(group, key).latest(request, now) < deadline)
      return true;
  return false;
}

// -- of a key -------------------------------------------------------------------------

bool lane_table::has_other_key(uint32_t group, uint32_t key, time_point now) const {
  for (uint32_t other = 0; other < keys_; ++other)
    if (other != key && !at(group, other).is_out(now))
      return true;
  return false;
}

void lane_table::take_out(uint32_t key, time_point until) {
  for (uint32_t group = 0; group < groups(); ++group)
    at(group, key).take_out(until);
}

// -- across a restart -------------------------------------------------------------------

void lane_table::restore(const std::vector<lane_journal>& saved, duration age, duration slack, time_point now) {
  age = std::max(age, duration{0});
  for (auto& kept : saved) {
    if (kept.group >= groups() || kept.key >= keys_)
      continue;
    auto& lane = at(kept.group, kept.key);
    auto span = lane.limiter().span();
    for (auto& charge : kept.live)
      if (charge.left > age)
        lane.restore(charge.amount, now + std::min(charge.left - age, span + slack));
    lane.restore(kept.open, now + span);
  }
}

void lane_table::fill_windows(time_point now) {
  for (auto& lane : lanes_) {
    limits::amounts full{};
    for (std::size_t d = 0; d < full.size(); ++d)
      full[d] = lane->limit(static_cast<limits::dimension>(d)).value_or(0);
    lane->restore(full, now + lane->limiter().span());
  }
}

} // namespace modelforge
