#pragma once

#include "actors/stream_session.hpp"
#include "retry/due_queue.hpp"

#include <modelforge/messages/error.hpp>
#include <modelforge/messages/request_id.hpp>

#include <caf/actor_addr.hpp>

#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>

namespace modelforge {

/// The streams of a provider whose sessions have not ended, and when each of them wants to be woken: sessions have no
/// timers of their own. A session outlives its request where subscribers take their time. Called inside the provider's
/// actor.
class stream_sessions {
public:
  using time_point = stream::time_point;

private:
  /// A session, its actor's address, and when it is to be woken.
  struct entry {
    std::shared_ptr<stream_session> session;
    caf::actor_addr address;
    std::optional<time_point> alarm;
  };

  /// Entries of the queue of alarms stay behind when an alarm is moved; this tells which still hold.
  auto holds() const {
    return [this](request_id id, time_point due) {
      auto i = all_.find(id);
      return i != all_.end() && i->second.alarm == due;
    };
  }

public:
  /// `address`: of the session's actor.
  void add(request_id id, std::shared_ptr<stream_session> session, caf::actor_addr address) {
    all_.emplace(id, entry{std::move(session), std::move(address), {}});
  }

  /// Null: there is none, or it has ended.
  stream_session* find(request_id id) {
    auto i = all_.find(id);
    return i != all_.end() ? i->second.session.get() : nullptr;
  }

  bool contains(request_id id) const { return all_.contains(id); }
  bool empty() const { return all_.empty(); }

  /// The session has ended. Returns its actor's address.
  caf::actor_addr remove(request_id id) {
    auto node = all_.extract(id);
    alarms_.tidy(all_.size(), holds());
    return node.empty() ? caf::actor_addr{} : std::move(node.mapped().address);
  }

  /// The session's actor has died, unless it is another one's: tells its subscribers.
  void bury(const caf::actor_addr& address) {
    std::erase_if(all_, [&](auto& candidate) {
      auto is_dead = candidate.second.address == address;
      if (is_dead)
        candidate.second.session->bury();
      return is_dead;
    });
  }

  /// Ends every stream at once.
  void cut_all(const failure& why) {
    for (auto& [id, stream] : all_)
      stream.session->cut(why);
  }

  // -- alarms ---------------------------------------------------------------------

  /// The session wants to be woken then, or earlier.
  void set_alarm(request_id id, time_point when) {
    auto i = all_.find(id);
    if (i == all_.end())
      return;
    i->second.alarm = when;
    alarms_.push(when, id);
  }

  /// For the provider's one timer; empty: nobody is to be woken.
  std::optional<time_point> next_alarm() { return alarms_.earliest(holds()); }

  /// Wakes those whose time has come.
  void wake(time_point now) {
    for (auto due = next_alarm(); due && *due <= now; due = next_alarm()) {
      auto& stream = all_.at(alarms_.take());
      stream.alarm.reset();
      stream.session->wake();
    }
  }

private:
  std::unordered_map<request_id, entry> all_;
  retry::due_queue alarms_;
};

} // namespace modelforge
