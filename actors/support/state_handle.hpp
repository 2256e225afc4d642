#pragma once

#include "actors/support/mail.hpp"

#include <caf/abstract_actor.hpp>
#include <caf/actor_cast.hpp>
#include <caf/actor_control_block.hpp>

#include <type_traits>
#include <utility>

namespace modelforge {

/// Runs functions on the state of a local actor, inside that actor, from any thread. It keeps the actor alive only
/// while a function is on its way; where the actor has ended, the function is dropped. `State` may be a base class of
/// the actor's state: what the others are to see of it.
///
/// The pointer is safe: it is followed only in a turn of the actor itself, and CAF destroys the state when the actor
/// ends, after which it has no turns.
template <class State>
class state_handle {
public:
  state_handle() = default;

  state_handle(caf::weak_actor_ptr actor, State* state) : actor_(std::move(actor)), state_(state) {}

  template <class Derived, class = std::enable_if_t<std::is_convertible_v<Derived*, State*>>>
  state_handle(const state_handle<Derived>& handle)
    : actor_(handle.actor_), state_(handle.state_) {} // NOLINT: as pointers do

  /// False: it never had an actor.
  explicit operator bool() const { return state_ != nullptr; }

  template <class F>
  void run(F f) const {
    post_if_alive(actor_, [state = state_, f = std::move(f)]() mutable { f(*state); });
  }

private:
  template <class Other>
  friend class state_handle;

  caf::weak_actor_ptr actor_;
  State* state_ = nullptr;
};

/// Of an actor that was just spawned as `Actor::stateful_impl<State>`.
template <class State, class Actor>
state_handle<State> state_of(const Actor& actor) {
  using implementation = typename Actor::template stateful_impl<State>;
  auto* object = static_cast<implementation*>(caf::actor_cast<caf::abstract_actor*>(actor));
  return {caf::actor_cast<caf::weak_actor_ptr>(actor), &state_in(*object)};
}

} // namespace modelforge
