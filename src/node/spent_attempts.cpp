#include "node/spent_attempts.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::node {

attempts_made bounded(attempts_made x) {
  x.spent = std::min(x.spent, max_told_spent);
  x.age = std::clamp<std::chrono::nanoseconds>(x.age, std::chrono::nanoseconds{0}, max_told_age);
  if (x.records.size() > max_told_records)
    x.records.erase(x.records.begin(), x.records.end() - max_told_records);
  return x;
}

attempts_made merged(attempts_made x, attempts_made y) {
  x.spent = std::max(x.spent, y.spent);
  x.age = std::max(x.age, y.age);
  if (y.records.size() > x.records.size())
    x.records = std::move(y.records);
  return x;
}

void spent_attempts::keep(request_id id, attempts_made x, time_point now) {
  tidy(now);
  if (auto i = kept_.find(id); i != kept_.end())
    x = merged(std::move(x), std::move(i->second.spent));
  order_.push_back({now, id, ++last_});
  kept_.insert_or_assign(id, entry{bounded(std::move(x)), now, last_});
  while (order_.size() > max_size)
    drop_oldest();
}

attempts_made spent_attempts::all_of(request_id id, attempts_made told, time_point now) {
  tidy(now);
  told = bounded(std::move(told));
  auto i = kept_.find(id);
  if (i == kept_.end() || told.spent == 0)
    return told;
  auto known = i->second.spent;
  known.age += now - i->second.since;
  return bounded(merged(std::move(told), std::move(known)));
}

void spent_attempts::drop_oldest() {
  auto x = order_.front();
  order_.pop_front();
  if (auto i = kept_.find(x.id); i != kept_.end() && i->second.number == x.number)
    kept_.erase(i);
}

void spent_attempts::tidy(time_point now) {
  while (!order_.empty() && now - order_.front().since >= keep_time)
    drop_oldest();
}

} // namespace modelforge::node
