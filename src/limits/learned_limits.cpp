#include "limits/learned_limits.hpp"

#include <algorithm>
#include <cmath>

namespace modelforge::limits {

learned_limits::mark learned_limits::dispatched(const amounts& x) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    charged_[i] += x[i];
    learned_[i].level -= static_cast<double>(x[i]);
  }
  return {++dispatches_, charged_};
}

void learned_limits::observe(const mark& of, const server_limits& told,
                             const std::array<std::optional<uint64_t>, 4>& configured, time_point now) {
  if (of.number < last_used_ || std::all_of(told.begin(), told.end(), [](auto& x) { return x.empty(); }))
    return;
  last_used_ = of.number;
  for (std::size_t i = 0; i < told.size(); ++i) {
    auto& x = told[i];
    auto& b = learned_[i];
    if (x.limit && *x.limit > 0)
      b.limit = x.limit;
    if (!x.remaining)
      continue;
    b.level = static_cast<double>(*x.remaining) - static_cast<double>(charged_[i] - of.charged[i]);
    b.since = now;
    b.caps = true;
    auto limit = x.limit ? x.limit : b.limit ? b.limit : configured[i];
    b.rate = limit ? static_cast<double>(*limit) / static_cast<double>(window_.count()) : 0;
    b.whole_at = x.reset ? now + *x.reset : limit ? now + window_ : now;
  }
}

time_point learned_limits::ready_at(const amounts& x, time_point now, const amounts& ahead) const {
  auto result = now;
  for (std::size_t i = 0; i < x.size(); ++i) {
    auto& b = learned_[i];
    if (!b.caps || x[i] == 0 || b.whole_at <= now)
      continue;
    auto missing = static_cast<double>(x[i]) + static_cast<double>(ahead[i]) - b.level;
    if (missing <= 0)
      continue;
    auto ready = b.whole_at;
    if (b.rate > 0 && missing / b.rate < static_cast<double>((b.whole_at - b.since).count()))
      ready = b.since + duration{static_cast<int64_t>(std::ceil(missing / b.rate))};
    result = std::max(result, ready);
  }
  return result;
}

} // namespace modelforge::limits
