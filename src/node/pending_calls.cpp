#include "node/pending_calls.hpp"

#include <algorithm>

namespace modelforge::node {

pending_calls::call_id pending_calls::add(const offer& x) {
  auto id = ++last_;
  auto& made = calls_[id];
  made.deadline = x.deadline;
  made.patient = made.goes_last = x.patient;
  made.bytes = x.bytes;
  made.spent = made.attempts = x.spent;
  ++waiting_;
  ready_.insert(id);
  return id;
}

void pending_calls::remove(call_id id) {
  auto i = calls_.find(id);
  if (i == calls_.end())
    return;
  auto& x = i->second;
  take_back(x);
  --waiting_;
  if (x.due)
    due_.erase({*x.due, id});
  ready_.erase(id);
  leave_line(id, x);
  calls_.erase(i);
}

/// The next one may need less room than the first one did.
void pending_calls::leave_line(call_id id, const call& x) {
  auto i = line_.find({x.goes_last, id});
  if (i == line_.end())
    return;
  held_ = held_ && i != line_.begin();
  line_.erase(i);
}

/// Nobody has it any more.
void pending_calls::take_back(call& x) {
  if (x.sent == 0)
    return;
  if (auto i = at_.find(x.sent); --i->second == 0)
    at_.erase(i);
  x.sent = 0;
  ++waiting_;
}

pending_calls::owner_id pending_calls::up(time_point now) {
  up_ = true;
  resting_ = given_up_ = false;
  up_at_ = now;
  look_at_.reset();
  for (auto& [id, x] : calls_)
    if (x.sent == 0)
      ready_.insert(id);
  return ++owner_;
}

void pending_calls::lost(time_point now) {
  for (auto& [id, x] : calls_)
    if (x.sent != 0)
      lose(id, x);
  lost(owner_, now);
  look_at_.reset(); // it comes by itself
}

void pending_calls::lost(owner_id who, time_point now) {
  auto as_planned = who == owner_ && resting_;
  if (who == owner_) {
    if (up_)
      expected_until_ = now + settings_.patience;
    up_ = resting_ = false;
    look_from(now);
  }
  for (auto& [id, x] : calls_) {
    if (x.sent == who && who != 0)
      lose(id, x);
    if (as_planned && x.sent == 0 && x.deadline)
      x.patient = true; // kept for the successor, as long as it may wait
    ready_.insert(id);  // how long it waits has changed
  }
}

/// At once, unless the one before was found as lately: one that ends as soon as it is found keeps nobody busy.
void pending_calls::look_from(time_point now) {
  if (now - up_at_ >= settings_.max_pause)
    look_pause_ = {};
  look_at_ = now + look_pause_;
}

void pending_calls::lose(call_id id, call& x) {
  take_back(x);
  x.was_lost = true;
  may_have_run(x);
  ready_.insert(id);
}

/// Its attempts were possibly made, and are not known to have ended.
void pending_calls::may_have_run(call& x) const {
  if (!settings_.retry_uncertain)
    x.over = errc::outcome_unknown;
  else if (x.attempts >= settings_.max_attempts)
    x.over = errc::node_lost;
}

void pending_calls::give_up(time_point now) {
  expected_until_ = now;
  given_up_ = true;
  up_ = resting_ = false;
  if (!look_at_) {
    look_pause_ = settings_.first_pause;
    look_at_ = now + look_pause_;
  }
  for (auto& [id, x] : calls_)
    ready_.insert(id);
}

void pending_calls::reported(call_id id, uint32_t spent) {
  auto i = calls_.find(id);
  if (i == calls_.end() || i->second.sent == 0)
    return;
  auto& x = i->second; // it is about to make the next one
  x.attempts = std::max(x.attempts, std::min(spent, settings_.max_attempts) + 1);
}

void pending_calls::given_back(call_id id, bool cut_off, time_point now) {
  auto i = calls_.find(id);
  if (i == calls_.end() || i->second.sent == 0)
    return;
  auto& x = i->second;
  if (x.sent == owner_ && up_ && !resting_) {
    resting_ = true;
    look_pause_ = settings_.first_pause;
    look_at_ = now + look_pause_;
  }
  take_back(x);
  if (cut_off)
    may_have_run(x);
  else
    --x.attempts;
  ready_.insert(id);
}

bool pending_calls::busy(call_id id, time_point now) {
  auto i = calls_.find(id);
  if (i == calls_.end() || i->second.sent == 0 || !i->second.was_lost)
    return false;
  auto& x = i->second;
  if (!x.not_before)
    x.busy_until = now + settings_.patience;
  else if (now >= x.busy_until)
    return false;
  take_back(x);
  x.attempts = x.spent;
  x.pause = longer(x.pause);
  x.not_before = now + x.pause;
  ready_.insert(id);
  return true;
}

pending_calls::duration pending_calls::longer(duration x) const {
  return std::clamp(2 * x, settings_.first_pause, settings_.max_pause);
}

std::optional<pending_calls::step> pending_calls::next(time_point now, const room& has_room) {
  for (; !due_.empty() && due_.begin()->first <= now; due_.erase(due_.begin())) {
    auto id = due_.begin()->second;
    calls_.at(id).due.reset();
    ready_.insert(id);
  }
  while (!ready_.empty()) {
    auto id = *ready_.begin();
    ready_.erase(ready_.begin());
    if (auto result = judge(id, calls_.at(id), now))
      return result;
  }
  if (auto result = next_in_line(has_room))
    return result;
  if (look_at_ && *look_at_ <= now && (!resting_ || waiting_ > 0)) {
    look_pause_ = longer(look_pause_);
    look_at_ = now + look_pause_;
    return look{};
  }
  return {};
}

std::optional<pending_calls::step> pending_calls::judge(call_id id, call& x, time_point now) {
  if (!x.over && x.deadline && now >= *x.deadline)
    if (x.sent == 0 || now - *x.deadline >= settings_.slack)
      x.over = errc::deadline_exceeded;
  if (!x.over && x.sent == 0) {
    auto waits = up_ || (x.patient ? !given_up_ : expects_owner(now));
    if (!waits || x.attempts >= settings_.max_attempts)
      x.over = errc::node_lost;
  }
  if (x.over) {
    end result{id, *x.over, x.attempts, x.sent};
    remove(id);
    return result;
  }
  auto goes = x.sent == 0 && up_ && !resting_ && (!x.not_before || *x.not_before <= now);
  if (goes && x.bytes == 0)
    return send_now(id, x);
  if (!goes)
    leave_line(id, x);
  else if (auto i = line_.insert({x.goes_last, id}).first; i == line_.begin())
    held_ = false; // another one is first
  set_due(id, x);
  return {};
}

std::optional<pending_calls::step> pending_calls::next_in_line(const room& has_room) {
  if (line_.empty() || held_ || !up_ || resting_)
    return {};
  auto id = line_.begin()->second;
  auto& x = calls_.at(id);
  if (has_room && !has_room(x.bytes)) {
    held_ = true;
    return {};
  }
  line_.erase(line_.begin());
  return send_now(id, x);
}

pending_calls::send pending_calls::send_now(call_id id, call& x) {
  x.spent = x.attempts++;
  x.sent = owner_;
  ++at_[owner_];
  --waiting_;
  set_due(id, x);
  return {id, x.attempts};
}

std::optional<pending_calls::time_point> pending_calls::wake_at() const {
  std::optional<time_point> result;
  if (!due_.empty())
    result = due_.begin()->first;
  if (look_at_ && (!resting_ || waiting_ > 0) && (!result || *look_at_ < *result))
    result = look_at_;
  return result;
}

pending_calls::owner_id pending_calls::owner_of(call_id x) const {
  auto i = calls_.find(x);
  return i != calls_.end() ? i->second.sent : 0;
}

/// Sent: the deadline and what the owner may need to say so; waiting: the deadline, the end of our patience, or the
/// next try.
void pending_calls::set_due(call_id id, call& x) {
  if (x.due)
    due_.erase({*x.due, id});
  x.due.reset();
  auto by = [&](time_point when) {
    if (!x.due || when < *x.due)
      x.due = when;
  };
  if (x.sent != 0) {
    if (x.deadline && *x.deadline < time_point::max() - settings_.slack)
      by(*x.deadline + settings_.slack);
  } else {
    if (x.deadline)
      by(*x.deadline);
    if (up_ && !resting_ && x.not_before)
      by(*x.not_before);
    if (!up_ && !x.patient)
      by(expected_until_);
  }
  if (x.due)
    due_.insert({*x.due, id});
}

} // namespace modelforge::node
