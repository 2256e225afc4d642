#include "log/throttle.hpp"

#include "base/utc_text.hpp"

#include <algorithm>

namespace modelforge::log {

bool throttle::passes(const timed& happened, time_point now) {
  auto what = happened.what.what();
  if (rule_of(what).subject == 0)
    return true;
  place here{what, happened.what.subject()};
  auto found = open_.find(here);
  if (found == open_.end() && subjects_of(what) >= max_subjects) {
    forget_past(now);
    if (subjects_of(what) >= max_subjects) {
      here.second.clear(); // which no subject is: each begins with a line break
      found = open_.find(here);
    }
  }
  if (found == open_.end()) {
    open_.emplace(std::move(here), counted{now + window});
    ++subjects_of(what);
    return true;
  }
  auto& open = found->second;
  if (open.until <= now && open.count == 0) {
    open.until = now + window;
    return true;
  }
  ++open.count;
  open.latest = happened;
  return false;
}

/// What did not repeat itself.
void throttle::forget_past(time_point now) {
  std::erase_if(open_, [&](auto& entry) {
    auto is_past = entry.second.until <= now && entry.second.count == 0;
    subjects_of(entry.first.first) -= is_past;
    return is_past;
  });
}

std::optional<throttle::time_point> throttle::wake_at() const {
  std::optional<time_point> result;
  for (auto& [where, each] : open_)
    if (each.count > 0 && (!result || each.until < *result))
      result = each.until;
  return result;
}

throttle::timed throttle::told(counted& of) {
  auto result = std::move(*of.latest);
  std::move(result.what).with(field::repeated, of.count).with(field::last, base::utc_text(result.time));
  of.latest.reset();
  of.count = 0;
  return result;
}

std::vector<throttle::timed> throttle::take_due(time_point now) {
  forget_past(now);
  std::vector<timed> result;
  for (auto& [where, each] : open_)
    if (each.count > 0 && each.until <= now) {
      result.push_back(told(each));
      each.until = now + window;
    }
  std::stable_sort(result.begin(), result.end(), [](auto& x, auto& y) { return x.time < y.time; });
  return result;
}

std::vector<throttle::timed> throttle::take_all() {
  std::vector<timed> result;
  for (auto& [where, each] : open_)
    if (each.count > 0)
      result.push_back(told(each));
  open_.clear();
  subjects_ = {};
  std::stable_sort(result.begin(), result.end(), [](auto& x, auto& y) { return x.time < y.time; });
  return result;
}

} // namespace modelforge::log
