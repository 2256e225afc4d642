#include "limits/model_limits.hpp"

#include <algorithm>

namespace modelforge::limits {

/// Gives the gate the limits that are not forgotten.
void model_limits::heed(time_point now) {
  next_change_ = time_point::max();
  for (std::size_t i = 0; i < dimensions; ++i) {
    auto d = static_cast<dimension>(i);
    auto told = told_.limit(d, now);
    gate_.set_limit(d, told);
    if (told)
      next_change_ = std::min(next_change_, told_.forgotten_at(d));
  }
}

model_limits::ticket model_limits::reserve(const charge& wanted, time_point now) {
  if (now >= next_change_)
    heed(now);
  asked_ = now;
  ++open_;
  return {gate_.reserve(wanted, now), told_.dispatched(bounded(wanted.total()), now)};
}

void model_limits::observe(const ticket& place, const server_limits& told,
                           const std::array<std::optional<uint64_t>, 4>& configured, time_point now, bool good) {
  told_.observe(place.mark, told, configured, now, good);
  heed(now);
}

time_point model_limits::ready_at(const charge& wanted, time_point now, const charge* before) {
  if (now >= next_change_)
    heed(now);
  auto at = gate_.ready_at(wanted, now, before);
  if (at > next_change_) { // some of what holds it is forgotten by then; all of it at the last of these times
    auto last = next_change_;
    for (std::size_t i = 0; i < dimensions; ++i)
      if (auto d = static_cast<dimension>(i); told_.limit(d, now))
        last = std::max(last, told_.forgotten_at(d));
    at = std::min(at, last);
  }
  return std::max(
    at, told_.ready_at(bounded(wanted.total()), now, before != nullptr ? bounded(before->total()) : amounts{}));
}

time_point model_limits::predict(const amounts& ahead, const charge& wanted, time_point now) {
  if (now >= next_change_)
    heed(now);
  return std::max(gate_.predict(ahead, wanted, now), told_.told_at(bounded(wanted.total()), now, ahead));
}

} // namespace modelforge::limits
