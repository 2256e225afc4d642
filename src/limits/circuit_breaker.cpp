#include "limits/circuit_breaker.hpp"

#include <algorithm>

namespace modelforge::limits {

circuit_breaker::circuit_breaker(const breaker_settings& x) : settings_(x) {
  settings_.probes = std::max(1u, x.probes);
  width_ = std::max(duration{1}, x.sample_window / static_cast<int64_t>(window_.size()));
}

void circuit_breaker::reconfigure(const breaker_settings& x) {
  auto fresh = x;
  fresh.probes = std::max(1u, x.probes);
  fresh.when = settings_.when; // not ours
  if (fresh == settings_)
    return;
  settings_ = fresh;
  width_ = std::max(duration{1}, x.sample_window / static_cast<int64_t>(window_.size()));
  window_ = {};
  if ((!x.enabled && state_ != state::closed) || (state_ == state::half_open && successes_ >= settings_.probes))
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

void circuit_breaker::end(permit x, outcome how, duration took, time_point now) {
  if (!settings_.enabled || x.generation != generation_)
    return;
  if (how == outcome::neutral) {
    if (x.probe)
      --places_;
    return;
  }
  auto slow = settings_.slow_after > duration::zero() && took > settings_.slow_after;
  auto failed = how == outcome::failure || slow;
  if (x.probe)
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

void circuit_breaker::count(bool failed, time_point now) {
  auto number = number_of(now);
  auto& x = window_[static_cast<std::size_t>(number) % window_.size()];
  if (x.number != number)
    x = {number};
  ++x.results;
  x.failures += failed ? 1 : 0;
  consecutive_ = failed ? consecutive_ + 1 : 0;
}

bool circuit_breaker::is_too_much(time_point now) const {
  if (settings_.consecutive_failures > 0 && consecutive_ >= settings_.consecutive_failures)
    return true;
  // Judged at successes too: one may be the last that makes a share.
  auto x = sum(now);
  return settings_.failure_share > 0 && x.results >= settings_.min_samples && x.share() >= settings_.failure_share;
}

circuit_breaker::bucket circuit_breaker::sum(time_point now) const {
  bucket result;
  auto oldest = number_of(now) - static_cast<int64_t>(window_.size()) + 1;
  for (auto& x : window_) {
    if (x.number < oldest)
      continue;
    result.results += x.results;
    result.failures += x.failures;
  }
  return result;
}

double circuit_breaker::bucket::share() const { // divides, since 11 of 20 is exactly 0.55 but 0.55 x 20 is above 11
  return results == 0 ? 0 : static_cast<double>(failures) / static_cast<double>(results);
}

void circuit_breaker::change(state to, time_point now) {
  state_ = to;
  since_ = now;
  ++generation_;
  consecutive_ = places_ = successes_ = 0;
  window_ = {};
  if (to == state::open) {
    until_ = now + settings_.open_for;
    ++openings_;
  }
}

circuit_breaker::state circuit_breaker::current(time_point now) const {
  return is_due(now) ? state::half_open : state_;
}

} // namespace modelforge::limits
