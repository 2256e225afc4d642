#include "log/throttle.hpp"

#include "base/utc_text.hpp"

#include <algorithm>

namespace modelforge::log {

throttle::counted& throttle::window_of::of(event what) {
  auto known = std::find_if(events.begin(), events.end(), [&](auto& each) { return each.what == what; });
  return known != events.end() ? *known : events.emplace_back(counted{.what = what});
}

bool throttle::window_of::is_pending() const {
  return std::any_of(events.begin(), events.end(), [](auto& each) { return each.count > 0; });
}

bool throttle::passes(const timed& happened, time_point now) {
  auto what = happened.what.what();
  if (rule_of(what).subject == 0)
    return true;
  auto family = family_of(what);
  place here{family, happened.what.subject()};
  auto found = open_.find(here);
  if (found == open_.end() && subjects_of(family) >= max_subjects) {
    forget_past(now);
    if (subjects_of(family) >= max_subjects) {
      here.second.clear(); // which no subject is: each begins with a line break
      found = open_.find(here);
    }
  }
  if (found == open_.end()) {
    found = open_.emplace(std::move(here), window_of{}).first;
    ++subjects_of(family);
  }
  auto& open = found->second;
  auto is_pending = open.is_pending();
  if (open.until <= now && !is_pending)
    open = {now + window, {}};
  auto& here_now = open.of(what);
  if (!is_pending && !here_now.is_told)
    return here_now.is_told = true;
  ++here_now.count;
  here_now.latest = happened;
  return false;
}

/// What did not repeat itself.
void throttle::forget_past(time_point now) {
  std::erase_if(open_, [&](auto& entry) {
    auto is_past = entry.second.until <= now && !entry.second.is_pending();
    subjects_of(entry.first.first) -= is_past;
    return is_past;
  });
}

std::optional<throttle::time_point> throttle::wake_at() const {
  std::optional<time_point> result;
  for (auto& [where, open] : open_)
    if (open.is_pending() && (!result || open.until < *result))
      result = open.until;
  return result;
}

throttle::timed throttle::told(counted& of) {
  auto result = std::move(*of.latest);
  std::move(result.what).with(field::repeated, of.count).with(field::last, base::utc_text(result.time));
  of.latest.reset();
  of.count = 0;
  return result;
}

/// Tells all that was counted; what was not may be told at once again.
void throttle::tell(window_of& open, std::vector<timed>& to) {
  for (auto& each : open.events) {
    each.is_told = each.count > 0;
    if (each.is_told)
      to.push_back(told(each));
  }
}

std::vector<throttle::timed> throttle::take_due(time_point now) {
  forget_past(now);
  std::vector<timed> result;
  for (auto& [where, open] : open_)
    if (open.is_pending() && open.until <= now) {
      tell(open, result);
      open.until = now + window;
    }
  std::stable_sort(result.begin(), result.end(), [](auto& x, auto& y) { return x.time < y.time; });
  return result;
}

std::vector<throttle::timed> throttle::take_all() {
  std::vector<timed> result;
  for (auto& [where, open] : open_)
    tell(open, result);
  open_.clear();
  subjects_ = {};
  std::stable_sort(result.begin(), result.end(), [](auto& x, auto& y) { return x.time < y.time; });
  return result;
}

} // namespace modelforge::log
