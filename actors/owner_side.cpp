#include "actors/owner_side.hpp"

#include "node/peer_link.hpp"
#include "node/told_answers.hpp"

#include <modelforge/actors/system.hpp>

#include <caf/actor_cast.hpp>

#include <algorithm>
#include <utility>

namespace modelforge {

namespace {

/// Patience is the time that a link may take to come back.
node::pending_calls::settings calls_of(const provider_settings& provider, const node_settings& node) {
  node::pending_calls::settings result;
  result.retry_uncertain = provider.retry.retry_uncertain;
  result.max_attempts = provider.retry.max_attempts;
  result.first_patience = node.timeout;
  result.patience = node::max_relink_time(node.timeout, node.heartbeat);
  return result;
}

} // namespace

owner_side::owner_side(const provider_settings& provider, const node_settings& node, log_handle log, time_point now)
  : pending(calls_of(provider, node), now), absence_(provider.nodes.front(), provider.retry.max_attempts, now),
    provider_(provider.name), log_(std::move(log)) {}

/// Each change once; before an owner was found, only what keeps it from being found is news.
void owner_side::tell_reachable(bool is_reachable, const std::string& why) {
  if (is_reachable_ == is_reachable || (!is_reachable_ && !is_reachable && why.empty()))
    return;
  is_reachable_ = is_reachable;
  auto what = is_reachable ? log::event::provider_reachable : log::event::provider_unreachable;
  tell_log(log_, what, [&](log::entry told) {
    return std::move(told)
      .with(log::field::provider, provider_)
      .with(log::field::owner, name())
      .with(log::field::reason, why);
  });
}

bool owner_side::has(call_id number, const caf::actor_addr& who) const {
  auto* owner = find(pending.owner_of(number));
  return owner != nullptr && owner->address == who;
}

// A guest that was found again replaces an older one of the same owner; those without calls or streams are forgotten,
// the others stay until their last answer.
void owner_side::add(const found_owner& owner, const relayed_streams& streams, std::function<void()> wake,
                     watch& callers, time_point now) {
  absence_.on_found();
  tell_reachable(true);
  if (owner.gate != traffic.gate()) {
    traffic.enter(owner.gate, std::move(wake));
    pending.open();
  }
  auto id = pending.up(now);
  owners_.add(id, owner.actor, callers.add(caf::actor_cast<caf::strong_actor_ptr>(owner.actor)));
  auto is_idle = [&](owner_id other) { return other != id && !pending.is_used(other) && !streams.uses(other); };
  for (auto other : owners_.find_all(is_idle))
    forget(other, callers);
}

void owner_side::forget(owner_id id, watch& callers) {
  auto address = owners_.find(id)->address;
  callers.remove(address);
  owners_.erase(id);
  if (owners_.at(address).empty()) // else it was found twice
    traffic.remove(address);
}

// Calls that it had are pending again: whether they may be repeated is decided by `pending_calls`.
bool owner_side::lose(owner_id id, std::string why, watch& callers, time_point now) {
  if (find(id) == nullptr)
    return false;
  forget(id, callers);
  if (pending.owner() == id)
    tell_reachable(false, why);
  if (pending.owner() == id)
    absence_.on_lost(std::move(why), now);
  else
    absence_.on_rest(now);
  pending.lost(id, now);
  return true;
}

// The link is gone, not the owner: watches are removed first, so that no death is counted twice.
void owner_side::lose_all(owner_loss loss, watch& callers, time_point now) {
  if (!loss.is_own_end)
    tell_reachable(false, loss.why);
  absence_.on_unreachable(std::move(loss.why), !owners_.empty(), now);
  for (auto& [id, owner] : owners_.extract_all())
    callers.remove(owner.address);
  traffic.leave();
  pending.open();
  pending.lost(now);
}

void owner_side::refuse(failure why, time_point now) {
  tell_reachable(false, why.message);
  absence_.on_refusal(std::move(why));
  pending.give_up(now);
}

// These errors say that the owner did not do the call, or stopped it: it is no answer for the caller yet.
bool owner_side::takes_back(remote_call& call, call_id number, const caf::error& error, time_point now) {
  if (error == errc::duplicate_request)
    return pending.busy(number, now);
  if (error != errc::draining && error != errc::cancelled)
    return false;
  auto why = failure_of(error);
  node::bound(why);
  auto cut_off = error == errc::cancelled && !why.attempts.empty() && why.attempts.back().result == errc::cancelled;
  absence_.on_rest(now);
  call.history.on_report(std::move(why.attempts));
  pending.given_back(number, cut_off, now);
  return true;
}

// Signed here, since no owner is left to do it.
failure owner_side::explain(remote_call& call, const node::pending_calls::end& end) const {
  call.history.on_lost(end.attempts, absence_.since());
  auto why = absence_.explain(end, pending);
  why.model = call.model;
  why.attempts = call.history.take_records();
  return why;
}

void owner_side::send(remote_call& call, const node::pending_calls::send& step, time_point now) {
  call.history.on_lost(step.attempt - 1, absence_.since());
  call.history.on_sent(now);
  auto& owner = *find(pending.owner());
  call.receiver = owner.address;
  if (call.bytes > 0)
    call.message = traffic.sent(owner.address, call.bytes);
}

provider_status owner_side::status(const provider_settings& provider, time_point now) const {
  provider_status result;
  result.name = provider.name;
  result.kind = to_string(provider.kind);
  result.max_concurrent = provider.max_concurrent;
  result.waiting = pending.size();
  result.predicted_wait = std::max<std::chrono::nanoseconds>(now - absence_.since(), std::chrono::seconds{1});
  result.problem = absence_.describe(pending);
  return result;
}

} // namespace modelforge
