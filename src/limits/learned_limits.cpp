#include "limits/learned_limits.hpp"

#include <algorithm>
#include <cmath>

namespace modelforge::limits {

/// When so much will be there.
time_point learned_limits::bucket::ready_at(double wanted, time_point now) const {
  auto missing = wanted - level;
  if (missing <= 0)
    return now;
  auto ready = whole_at;
  if (rate > 0 && missing / rate < static_cast<double>((whole_at - since).count()))
    ready = since + duration{static_cast<int64_t>(std::ceil(missing / rate))};
  return std::max(ready, now);
}

learned_limits::mark learned_limits::dispatched(const amounts& x, time_point now) {
  ++dispatches_;
  for (std::size_t i = 0; i < x.size(); ++i) {
    auto& b = learned_[i];
    if (x[i] > 0 && b.holds(now) && b.believed_until <= now && b.ready_at(static_cast<double>(x[i]), now) > now) {
      b.trial = dispatches_;
      b.believed_until = now + kept();
    }
    charged_[i] += x[i];
    b.level -= static_cast<double>(x[i]);
  }
  return {dispatches_, charged_};
}

void learned_limits::observe(const mark& of, const server_limits& told,
                             const std::array<std::optional<uint64_t>, 4>& configured, time_point now, bool good) {
  if (of.number < last_used_) {
    for (std::size_t i = 0; i < told.size(); ++i) { // old news, but they confirm it, or are the only ones
      auto& limit = told[i].limit;
      if (limit && *limit > 0 && (limit == learned_[i].limit || !this->limit(static_cast<dimension>(i), now))) {
        learned_[i].limit = limit;
        learned_[i].heard = now;
      }
    }
    return;
  }
  if (std::any_of(told.begin(), told.end(), [](auto& x) { return !x.empty(); }))
    last_used_ = of.number;
  for (std::size_t i = 0; i < told.size(); ++i) {
    auto& x = told[i];
    auto& b = learned_[i];
    if (x.empty() && good && b.trial != 0 && of.number >= b.trial) {
      b.caps = false;
      b.trial = 0;
    }
    if (x.limit && *x.limit > 0) {
      b.limit = x.limit;
      b.heard = now;
    }
    if (!x.remaining)
      continue;
    b.level = static_cast<double>(*x.remaining) - static_cast<double>(charged_[i] - of.charged[i]);
    b.since = now;
    b.caps = true;
    b.trial = 0;
    b.believed_until = now + kept();
    auto known = this->limit(static_cast<dimension>(i), now);
    auto limit = x.limit ? x.limit : known ? known : configured[i];
    b.rate = limit ? static_cast<double>(*limit) / static_cast<double>(window_.count()) : 0;
    b.whole_at = x.reset ? now + *x.reset : limit ? now + window_ : now;
  }
}

std::optional<uint64_t> learned_limits::limit(dimension d, time_point now) const {
  auto& b = learned_[static_cast<std::size_t>(d)];
  return b.limit && now < forgotten_at(d) ? b.limit : std::nullopt;
}

time_point learned_limits::ready_at(const amounts& x, time_point now, const amounts& ahead) const {
  auto result = now;
  for (std::size_t i = 0; i < x.size(); ++i) {
    auto& b = learned_[i];
    if (x[i] > 0 && b.holds(now)) {
      auto told = b.ready_at(static_cast<double>(x[i]) + static_cast<double>(ahead[i]), now);
      result = std::max(result, std::min(told, b.believed_until));
    }
  }
  return result;
}

time_point learned_limits::told_at(const amounts& x, time_point now, const amounts& ahead) const {
  auto result = now;
  for (std::size_t i = 0; i < x.size(); ++i) {
    auto& b = learned_[i];
    if (x[i] > 0 && b.holds(now) && b.believed_until > now)
      result = std::max(result, b.ready_at(static_cast<double>(x[i]) + static_cast<double>(ahead[i]), now));
  }
  return result;
}

bool learned_limits::empty(time_point now) const {
  for (std::size_t i = 0; i < learned_.size(); ++i)
    if (limit(static_cast<dimension>(i), now) || learned_[i].holds(now))
      return false;
  return true;
}

} // namespace modelforge::limits
