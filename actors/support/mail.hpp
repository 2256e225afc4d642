#pragma once

#include <caf/action.hpp>
#include <caf/actor.hpp>
#include <caf/actor_cast.hpp>
#include <caf/actor_clock.hpp>
#include <caf/config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#if CAF_MAJOR_VERSION >= 1
#include <caf/anon_mail.hpp>
#endif

#include <utility>

// The only file that knows which CAF it is built against.

namespace modelforge {

/// Sends without expecting an answer.
template <class Self, class Handle, class... Ts>
void tell(Self* self, const Handle& target, Ts&&... xs) {
#if CAF_MAJOR_VERSION >= 1
  self->mail(std::forward<Ts>(xs)...).send(target);
#else
  self->send(target, std::forward<Ts>(xs)...);
#endif
}

/// Sends and returns the handle for `.then(on_value, on_error)`. Who answers keeps time: our actors' requests carry
/// their deadline, so that no timer is needed here (CAF's cost too much by the thousand).
template <class Self, class Handle, class... Ts>
auto ask(Self* self, const Handle& target, Ts&&... xs) {
#if CAF_MAJOR_VERSION >= 1
  return self->mail(std::forward<Ts>(xs)...).request(target, caf::infinite);
#else
  return self->request(target, caf::infinite, std::forward<Ts>(xs)...);
#endif
}

/// Sends from outside of any actor.
template <class Handle, class... Ts>
void tell_from_outside(const Handle& target, Ts&&... xs) {
#if CAF_MAJOR_VERSION >= 1
  caf::anon_mail(std::forward<Ts>(xs)...).send(target);
#else
  caf::anon_send(target, std::forward<Ts>(xs)...);
#endif
}

/// Runs `f` inside a local actor, from any thread. Keeps the actor alive until then; a dead one drops it.
template <class Handle, class F>
void post(const Handle& target, F f) {
  tell_from_outside(caf::actor_cast<caf::actor>(target), caf::make_action(std::move(f)));
}

/// Runs `f` inside an actor, from any thread, if the actor is still there.
template <class F>
void post_if_alive(const caf::weak_actor_ptr& target, F f) {
  if (auto strong = caf::actor_cast<caf::strong_actor_ptr>(target))
    post(strong, std::move(f));
}

/// The state of a stateful actor, from inside of it or where it has just been spawned.
template <class StatefulActor>
auto& state_in(StatefulActor& actor) {
#if CAF_MAJOR_VERSION >= 1
  return actor.state();
#else
  return actor.state;
#endif
}

/// Runs `f` inside `self` at `when`, if the actor is still there. Unlike CAF's own delayed calls this does not keep the
/// actor alive until then.
template <class Self, class F>
void run_at(Self* self, caf::actor_clock::time_point when, F f) {
  auto weak = caf::actor_cast<caf::weak_actor_ptr>(self);
  self->clock().schedule(when, caf::make_action([weak, f = std::move(f)] { post_if_alive(weak, f); }));
}

} // namespace modelforge
