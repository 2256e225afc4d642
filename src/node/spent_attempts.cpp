#include "node/spent_attempts.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::node {

attempts_made bounded(attempts_made made) {
  made.spent = std::min(made.spent, max_told_spent);
  made.age = std::clamp<std::chrono::nanoseconds>(made.age, std::chrono::nanoseconds{0}, max_told_age);
  if (made.records.size() > max_told_records)
    made.records.erase(made.records.begin(), made.records.end() - max_told_records);
  return made;
}

attempts_made merged(attempts_made a, attempts_made b) {
  a.spent = std::max(a.spent, b.spent);
  a.age = std::max(a.age, b.age);
  if (b.records.size() > a.records.size())
    a.records = std::move(b.records);
  return a;
}

void spent_attempts::keep(request_id id, attempts_made spent, time_point now) {
  tidy(now);
  if (auto i = kept_.find(id); i != kept_.end())
    spent = merged(std::move(spent), std::move(i->second.spent));
  order_.push_back({now, id, ++last_});
  kept_.insert_or_assign(id, entry{bounded(std::move(spent)), now, last_});
  while (order_.size() > max_size)
    drop_oldest();
}

// The asker may know less than we do (it was lost before our report came) or more (it has asked others since), so both
// accounts count. One that claims to begin anew is believed: ids of hosts may repeat.
attempts_made spent_attempts::all_of(request_id id, attempts_made claimed, time_point now) {
  tidy(now);
  claimed = bounded(std::move(claimed));
  auto i = kept_.find(id);
  if (i == kept_.end() || claimed.spent == 0)
    return claimed;
  auto known = i->second.spent;
  known.age += now - i->second.since;
  return bounded(merged(std::move(claimed), std::move(known)));
}

void spent_attempts::drop_oldest() {
  auto oldest = order_.front();
  order_.pop_front();
  if (auto i = kept_.find(oldest.id); i != kept_.end() && i->second.number == oldest.number)
    kept_.erase(i);
}

void spent_attempts::tidy(time_point now) {
  while (!order_.empty() && now - order_.front().since >= keep_time)
    drop_oldest();
}

} // namespace modelforge::node
