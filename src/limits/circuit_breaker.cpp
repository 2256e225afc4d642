#include "limits/circuit_breaker.hpp"

#include <algorithm>

namespace modelforge::limits {

circuit_breaker::circuit_breaker(const breaker_settings& settings) : settings_(settings) {
  settings_.probes = std::max(1u, settings.probes);
  width_ = std::max(duration{1}, settings.sample_window / static_cast<int64_t>(window_.size()));
}

void circuit_breaker::reconfigure(const breaker_settings& settings) {
  auto fresh = settings;
  fresh.probes = std::max(1u, settings.probes);
  fresh.when = settings_.when; // not ours
  if (fresh == settings_)
    return;
  settings_ = fresh;
  width_ = std::max(duration{1}, settings.sample_window / static_cast<int64_t>(window_.size()));
  window_ = {};
  if ((!settings.enabled && state_ != state::closed) || (state_ == state::half_open && successes_ >= settings_.probes))
    change(state::closed, since_);
}

time_point circuit_breaker::ready_at(time_point now) const {
  switch (state_) {
    case state::open:
      return std::max(now, until_);
    case state::half_open:
      return places_ < settings_.probes ? now : time_point::max();
    default:
      return now;
  }
}

circuit_breaker::permit circuit_breaker::begin(time_point now) {
  if (is_due(now))
    change(state::half_open, until_);
  if (state_ != state::half_open)
    return {generation_, false};
  ++places_;
  return {generation_, true};
}

// A permit of an earlier generation says nothing of the state now: its results may be minutes old. Slow answers count
// as failures where `slow_after` is set.
void circuit_breaker::end(permit ended, outcome result, duration took, time_point now) {
  if (!settings_.enabled || ended.generation != generation_)
    return;
  if (result == outcome::neutral) {
    if (ended.probe)
      --places_;
    return;
  }
  auto slow = settings_.slow_after > duration::zero() && took > settings_.slow_after;
  auto failed = result == outcome::failure || slow;
  if (ended.probe)
    return judge_probe(failed, now);
  count(failed, now);
  if (is_too_much(now))
    change(state::open, now);
}

void circuit_breaker::judge_probe(bool failed, time_point now) {
  if (failed)
    change(state::open, now);
  else if (++successes_ >= settings_.probes)
    change(state::closed, now);
}

// The window is a ring of buckets, each named by its number since the epoch: one that was not written for a whole round
// is recognized by its old number, so nothing need be cleared as time goes by.
void circuit_breaker::count(bool failed, time_point now) {
  auto number = number_of(now);
  auto& current = window_[static_cast<std::size_t>(number) % window_.size()];
  if (current.number != number)
    current = {number};
  ++current.results;
  current.failures += failed ? 1 : 0;
  consecutive_ = failed ? consecutive_ + 1 : 0;
}

bool circuit_breaker::is_too_much(time_point now) const {
  if (settings_.consecutive_failures > 0 && consecutive_ >= settings_.consecutive_failures)
    return true;
  // Judged at successes too: one may be the last that makes a share.
  auto seen = sum(now);
  return settings_.failure_share > 0 && seen.results >= settings_.min_samples
         && seen.share() >= settings_.failure_share;
}

circuit_breaker::bucket circuit_breaker::sum(time_point now) const {
  bucket result;
  auto oldest = number_of(now) - static_cast<int64_t>(window_.size()) + 1;
  for (auto& each : window_) {
    if (each.number < oldest)
      continue;
    result.results += each.results;
    result.failures += each.failures;
  }
  return result;
}

double circuit_breaker::bucket::share() const { // divides, since 11 of 20 is exactly 0.55 but 0.55 x 20 is above 11
  return results == 0 ? 0 : static_cast<double>(failures) / static_cast<double>(results);
}

// A new state begins without memory: what opened the breaker must not open it again at once.
void circuit_breaker::change(state next, time_point now) {
  state_ = next;
  since_ = now;
  ++generation_;
  consecutive_ = places_ = successes_ = 0;
  window_ = {};
  if (next == state::open) {
    until_ = now + settings_.open_for;
    ++openings_;
  }
}

circuit_breaker::state circuit_breaker::current(time_point now) const {
  return is_due(now) ? state::half_open : state_;
}

} // namespace modelforge::limits
