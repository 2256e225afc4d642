#include "node/pending_calls.hpp"

#include <algorithm>

namespace modelforge::node {

pending_calls::call_id pending_calls::add(const offer& offered) {
  auto id = ++last_;
  auto& made = calls_[id];
  made.deadline = offered.deadline;
  made.patient = made.goes_last = offered.patient;
  made.bytes = offered.bytes;
  made.spent = made.attempts = offered.spent;
  ++waiting_;
  ready_.insert(id);
  return id;
}

void pending_calls::remove(call_id id) {
  auto i = calls_.find(id);
  if (i == calls_.end())
    return;
  auto& call = i->second;
  take_back(call);
  --waiting_;
  if (call.due)
    due_.erase({*call.due, id});
  ready_.erase(id);
  leave_line(id, call);
  calls_.erase(i);
}

/// The next one may need less room than the first one did.
void pending_calls::leave_line(call_id id, const call& call) {
  auto i = line_.find({call.goes_last, id});
  if (i == line_.end())
    return;
  held_ = held_ && i != line_.begin();
  line_.erase(i);
}

/// Nobody has it any more.
void pending_calls::take_back(call& call) {
  if (call.sent == 0)
    return;
  if (auto i = by_owner_.find(call.sent); --i->second == 0)
    by_owner_.erase(i);
  call.sent = 0;
  ++waiting_;
}

// Every call that nobody has is looked at again; those with an owner of before stay there until it is lost or answers.
pending_calls::owner_id pending_calls::up(time_point now) {
  owner_.up = true;
  owner_.resting = owner_.given_up = false;
  owner_.up_at = now;
  owner_.look_at.reset();
  for (auto& [id, call] : calls_)
    if (call.sent == 0)
      ready_.insert(id);
  return ++owner_.id;
}

void pending_calls::lost(time_point now) {
  for (auto& [id, call] : calls_)
    if (call.sent != 0)
      lose(id, call);
  lost(owner_.id, now);
  owner_.look_at.reset(); // it comes by itself
}

// An owner that was resting is lost as planned (it has been shut down): who waits for it then waits for its successor,
// as long as its own deadline allows.
void pending_calls::lost(owner_id who, time_point now) {
  auto as_planned = who == owner_.id && owner_.resting;
  if (who == owner_.id) {
    if (owner_.up)
      owner_.expected_until = now + settings_.patience;
    owner_.up = owner_.resting = false;
    look_from(now);
  }
  for (auto& [id, call] : calls_) {
    if (call.sent == who && who != 0)
      lose(id, call);
    if (as_planned && call.sent == 0 && call.deadline)
      call.patient = true; // kept for the successor, as long as it may wait
    ready_.insert(id);     // how long it waits has changed
  }
}

/// At once, unless the one before was found as lately: one that ends as soon as it is found keeps nobody busy.
void pending_calls::look_from(time_point now) {
  if (now - owner_.up_at >= settings_.max_pause)
    owner_.look_pause = {};
  owner_.look_at = now + owner_.look_pause;
}

void pending_calls::lose(call_id id, call& call) {
  take_back(call);
  call.was_lost = true;
  may_have_run(call);
  ready_.insert(id);
}

/// Its attempts were possibly made, and are not known to have ended.
void pending_calls::may_have_run(call& call) const {
  if (!settings_.retry_uncertain)
    call.over = errc::outcome_unknown;
  else if (call.attempts >= settings_.max_attempts)
    call.over = errc::node_lost;
}

void pending_calls::give_up(time_point now) {
  owner_.expected_until = now;
  owner_.given_up = true;
  owner_.up = owner_.resting = false;
  if (!owner_.look_at) {
    owner_.look_pause = settings_.first_pause;
    owner_.look_at = now + owner_.look_pause;
  }
  for (auto& [id, call] : calls_)
    ready_.insert(id);
}

void pending_calls::reported(call_id id, uint32_t spent) {
  auto i = calls_.find(id);
  if (i == calls_.end() || i->second.sent == 0)
    return;
  auto& call = i->second; // it is about to make the next one
  call.attempts = std::max(call.attempts, std::min(spent, settings_.max_attempts) + 1);
}

// The owner drains. It goes on resting until another owner comes or it takes calls again, which `look` finds out.
void pending_calls::given_back(call_id id, bool cut_off, time_point now) {
  auto i = calls_.find(id);
  if (i == calls_.end() || i->second.sent == 0)
    return;
  auto& call = i->second;
  if (call.sent == owner_.id && owner_.up && !owner_.resting) {
    owner_.resting = true;
    owner_.look_pause = settings_.first_pause;
    owner_.look_at = now + owner_.look_pause;
  }
  take_back(call);
  if (cut_off)
    may_have_run(call);
  else
    --call.attempts;
  ready_.insert(id);
}

// A call that was sent again while the owner still had it from before: it answers the first one, if it can, and refuses
// the second as a duplicate. So the second is tried again, later and later, until the patience for a lost owner is
// over.
bool pending_calls::busy(call_id id, time_point now) {
  auto i = calls_.find(id);
  if (i == calls_.end() || i->second.sent == 0 || !i->second.was_lost)
    return false;
  auto& call = i->second;
  if (!call.not_before)
    call.busy_until = now + settings_.patience;
  else if (now >= call.busy_until)
    return false;
  take_back(call);
  call.attempts = call.spent;
  call.pause = longer(call.pause);
  call.not_before = now + call.pause;
  ready_.insert(id);
  return true;
}

pending_calls::duration pending_calls::longer(duration pause) const {
  return std::clamp(2 * pause, settings_.first_pause, settings_.max_pause);
}

// Calls are looked at only when something about them may have changed (`ready_`): a link with ten thousand of them
// costs no more per step than one with ten.
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
  if (owner_.look_at && *owner_.look_at <= now && (!owner_.resting || waiting_ > 0)) {
    owner_.look_pause = longer(owner_.look_pause);
    owner_.look_at = now + owner_.look_pause;
    return look{};
  }
  return {};
}

// What is to happen to one call now: its end, its sending, or nothing until its `due`.
std::optional<pending_calls::step> pending_calls::judge(call_id id, call& call, time_point now) {
  if (!call.over && call.deadline && now >= *call.deadline)
    if (call.sent == 0 || now - *call.deadline >= settings_.slack)
      call.over = errc::deadline_exceeded;
  if (!call.over && call.sent == 0) {
    auto waits = owner_.up || (call.patient ? !owner_.given_up : expects_owner(now));
    if (!waits || call.attempts >= settings_.max_attempts)
      call.over = errc::node_lost;
  }
  if (call.over) {
    end result{id, *call.over, call.attempts, call.sent};
    remove(id);
    return result;
  }
  auto goes = call.sent == 0 && owner_.up && !owner_.resting && (!call.not_before || *call.not_before <= now);
  if (goes && call.bytes == 0)
    return send_now(id, call);
  if (!goes)
    leave_line(id, call);
  else if (auto i = line_.insert({call.goes_last, id}).first; i == line_.begin())
    held_ = false; // another one is first
  set_due(id, call);
  return {};
}

// Large calls go one by one, each when the link has room for it, so that what is small is never behind all of them.
std::optional<pending_calls::step> pending_calls::next_in_line(const room& has_room) {
  if (line_.empty() || held_ || !owner_.up || owner_.resting)
    return {};
  auto id = line_.begin()->second;
  auto& call = calls_.at(id);
  if (has_room && !has_room(call.bytes)) {
    held_ = true;
    return {};
  }
  line_.erase(line_.begin());
  return send_now(id, call);
}

pending_calls::send pending_calls::send_now(call_id id, call& call) {
  call.spent = call.attempts++;
  call.sent = owner_.id;
  ++by_owner_[owner_.id];
  --waiting_;
  set_due(id, call);
  return {id, call.attempts};
}

std::optional<pending_calls::time_point> pending_calls::wake_at() const {
  std::optional<time_point> result;
  if (!due_.empty())
    result = due_.begin()->first;
  if (owner_.look_at && (!owner_.resting || waiting_ > 0) && (!result || *owner_.look_at < *result))
    result = owner_.look_at;
  return result;
}

pending_calls::owner_id pending_calls::owner_of(call_id id) const {
  auto i = calls_.find(id);
  return i != calls_.end() ? i->second.sent : 0;
}

/// Sent: the deadline and what the owner may need to say so; waiting: the deadline, the end of our patience, or the
/// next try.
void pending_calls::set_due(call_id id, call& call) {
  if (call.due)
    due_.erase({*call.due, id});
  call.due.reset();
  auto due_by = [&](time_point when) {
    if (!call.due || when < *call.due)
      call.due = when;
  };
  if (call.sent != 0) {
    if (call.deadline && *call.deadline < time_point::max() - settings_.slack)
      due_by(*call.deadline + settings_.slack);
  } else {
    if (call.deadline)
      due_by(*call.deadline);
    if (owner_.up && !owner_.resting && call.not_before)
      due_by(*call.not_before);
    if (!owner_.up && !call.patient)
      due_by(owner_.expected_until);
  }
  if (call.due)
    due_.insert({*call.due, id});
}

} // namespace modelforge::node
