#include "retry/mailbox.hpp"

namespace modelforge::retry {

void mailbox::park(request_id id, time_point due, when_empty then) {
  parked_[id] = {due, then};
  queue(then).push(due, id);
}

bool mailbox::withdraw(request_id id) {
  if (parked_.erase(id) == 0)
    return false;
  for (auto then : {when_empty::exempt, when_empty::wait, when_empty::fail})
    queue(then).tidy(parked_.size(), holds(then));
  return true;
}

std::optional<request_id> mailbox::pop(when_empty then, time_point now) {
  auto due = earliest(then);
  if (!due || *due > now)
    return {};
  auto id = queue(then).take();
  parked_.erase(id);
  return id;
}

// Exempt ones first: they kept a wait that the provider named. Then those that would rather fail than wait, with budget
// or without; last those that wait for it.
std::optional<mailbox::release> mailbox::next(time_point now) {
  if (parked_.empty())
    return {};
  if (auto id = pop(when_empty::exempt, now))
    return release{*id};
  auto budget = has_budget(now);
  if (auto id = pop(when_empty::fail, now)) {
    released_ += budget;
    return release{*id, budget};
  }
  if (!budget)
    return {};
  auto id = pop(when_empty::wait, now);
  if (!id)
    return {};
  ++released_;
  return release{*id};
}

void mailbox::dispatched(when_empty then, time_point now) {
  if (then == when_empty::exempt)
    return;
  --released_;
  budget_.retry(now);
}

void mailbox::dropped(when_empty then) {
  if (then != when_empty::exempt)
    --released_;
}

// What has been released and not dispatched yet counts against the budget, or two would be promised the same part.
mailbox::time_point mailbox::wake_at(time_point now) {
  auto result = time_point::max();
  if (parked_.empty())
    return result;
  for (auto then : {when_empty::exempt, when_empty::fail})
    if (auto due = earliest(then))
      result = std::min(result, *due);
  if (auto due = earliest(when_empty::wait)) {
    auto from = std::max(*due, now);
    if (has_budget(now))
      result = std::min(result, from);
    else // what is released already has its part
      result = std::min(result, std::max(from, budget_.ready_at(now, released_)));
  }
  return result;
}

std::optional<mailbox::time_point> mailbox::next_due() {
  std::optional<time_point> result;
  for (auto then : {when_empty::exempt, when_empty::wait, when_empty::fail})
    if (auto due = earliest(then); due && (!result || *due < *result))
      result = due;
  return result;
}

} // namespace modelforge::retry
