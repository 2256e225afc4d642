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

// The running sum goes into the mark, so that an answer, which tells what was left after its own dispatch, can be
// corrected by what was dispatched since.
learned_limits::mark learned_limits::dispatched(const amounts& wanted, time_point now) {
  ++dispatches_;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    auto& b = learned_[i];
    if (wanted[i] > 0 && b.holds(now) && b.believed_until <= now
        && b.ready_at(static_cast<double>(wanted[i]), now) > now) {
      b.trial = dispatches_;
      b.believed_until = now + kept();
    }
    charged_[i] += wanted[i];
    b.level -= static_cast<double>(wanted[i]);
  }
  return {dispatches_, charged_};
}

void learned_limits::observe(const mark& dispatch, const server_limits& told,
                             const std::array<std::optional<uint64_t>, 4>& configured, time_point now, bool good) {
  if (dispatch.number < last_used_) {
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
    last_used_ = dispatch.number;
  for (std::size_t i = 0; i < told.size(); ++i) {
    auto& word = told[i];
    auto& b = learned_[i];
    if (word.empty() && good && b.trial != 0 && dispatch.number >= b.trial) {
      b.caps = false;
      b.trial = 0;
    }
    if (word.limit && *word.limit > 0) {
      b.limit = word.limit;
      b.heard = now;
    }
    if (!word.remaining)
      continue;
    b.level = static_cast<double>(*word.remaining) - static_cast<double>(charged_[i] - dispatch.charged[i]);
    b.since = now;
    b.caps = true;
    b.trial = 0;
    b.believed_until = now + kept();
    auto known = this->limit(static_cast<dimension>(i), now);
    auto limit = word.limit ? word.limit : known ? known : configured[i];
    b.rate = limit ? static_cast<double>(*limit) / static_cast<double>(window_.count()) : 0;
    b.whole_at = word.reset ? now + *word.reset : limit ? now + window_ : now;
  }
}

std::optional<uint64_t> learned_limits::limit(dimension d, time_point now) const {
  auto& b = learned_[static_cast<std::size_t>(d)];
  return b.limit && now < forgotten_at(d) ? b.limit : std::nullopt;
}

time_point learned_limits::ready_at(const amounts& wanted, time_point now, const amounts& ahead) const {
  auto result = now;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    auto& b = learned_[i];
    if (wanted[i] > 0 && b.holds(now)) {
      auto told = b.ready_at(static_cast<double>(wanted[i]) + static_cast<double>(ahead[i]), now);
      result = std::max(result, std::min(told, b.believed_until));
    }
  }
  return result;
}

// Only what is still believed counts: after that, one dispatch may find out.
time_point learned_limits::told_at(const amounts& wanted, time_point now, const amounts& ahead) const {
  auto result = now;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    auto& b = learned_[i];
    if (wanted[i] > 0 && b.holds(now) && b.believed_until > now)
      result = std::max(result, b.ready_at(static_cast<double>(wanted[i]) + static_cast<double>(ahead[i]), now));
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
