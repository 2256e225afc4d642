#include "node/pending_calls.hpp"

namespace modelforge::node {

pending_calls::call_id pending_calls::add(std::optional<time_point> deadline, time_point) {
  auto id = ++last_;
  auto& x = calls_[id];
  x.deadline = deadline;
  ready_.insert(id);
  set_due(id, x);
  return id;
}

void pending_calls::remove(call_id x) {
  auto i = calls_.find(x);
  if (i == calls_.end())
    return;
  if (i->second.due)
    due_.erase({*i->second.due, x});
  ready_.erase(x);
  calls_.erase(i);
}

void pending_calls::up(time_point) {
  up_ = true;
  for (auto& [id, x] : calls_) {
    ready_.insert(id);
    set_due(id, x);
  }
}

void pending_calls::lost(time_point now) {
  if (up_)
    lost_at_ = now;
  up_ = false;
  for (auto& [id, x] : calls_) {
    if (x.sent) {
      x.sent = false;
      if (!settings_.retry_uncertain)
        x.over = errc::outcome_unknown;
      else if (x.attempts >= settings_.max_attempts)
        x.over = errc::node_lost;
    }
    if (x.over)
      ready_.insert(id);
    set_due(id, x);
  }
}

void pending_calls::give_up(time_point now) {
  lost_at_ = now - settings_.patience;
  for (auto& [id, x] : calls_)
    ready_.insert(id);
}

std::optional<pending_calls::step> pending_calls::next(time_point now) {
  for (; !due_.empty() && due_.begin()->first <= now; due_.erase(due_.begin())) {
    auto id = due_.begin()->second;
    auto& x = calls_.at(id);
    x.due.reset();
    x.over = x.deadline && *x.deadline <= now ? errc::deadline_exceeded : errc::node_lost;
    ready_.insert(id);
  }
  while (!ready_.empty()) {
    auto id = *ready_.begin();
    ready_.erase(ready_.begin());
    auto& x = calls_.at(id);
    if (!x.over && !x.sent && !expects_owner(now))
      x.over = errc::node_lost;
    if (x.over) {
      end result{id, *x.over, x.attempts};
      remove(id);
      return result;
    }
    if (x.sent || !up_)
      continue;
    x.sent = true;
    ++x.attempts;
    set_due(id, x);
    return send{id, x.attempts};
  }
  return {};
}

std::optional<pending_calls::time_point> pending_calls::wake_at() const {
  if (due_.empty())
    return {};
  return due_.begin()->first;
}

/// Sent: the deadline and what the owner may need to say so; waiting: the deadline, or the end of our patience.
void pending_calls::set_due(call_id id, call& x) {
  if (x.due)
    due_.erase({*x.due, id});
  x.due.reset();
  if (x.sent) {
    if (x.deadline && *x.deadline < time_point::max() - settings_.slack)
      x.due = *x.deadline + settings_.slack;
  } else if (up_) {
    x.due = x.deadline;
  } else {
    x.due = lost_at_ + settings_.patience;
    if (x.deadline && *x.deadline < *x.due)
      x.due = x.deadline;
  }
  if (x.due)
    due_.insert({*x.due, id});
}

} // namespace modelforge::node
