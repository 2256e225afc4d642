#pragma once

#include "actors/support/mail.hpp"

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <atomic>
#include <cstdint>
#include <utility>

namespace modelforge {

/// What threads of a host leave to actors, since they do not wait: a clerk asks for them, and a courier calls the
/// host's callbacks. The clerk never blocks, so answers come even while a callback waits; the courier has a thread of
/// its own. Owned by a runtime; any thread may call.
class errands {
public:
  explicit errands(caf::actor_system& system)
    : clerk_(system.spawn(idle, &clerk_self_)), courier_(system.spawn<caf::detached>(idle, &courier_self_)) {}

  /// Ends both, if `stop` did not: a runtime that fails to start waits for all of its actors.
  ~errands() {
    for (auto& each : {clerk_, courier_})
      caf::anon_send_exit(each, caf::exit_reason::user_shutdown);
  }

  errands(const errands&) = delete;
  errands& operator=(const errands&) = delete;

  /// Has `ask(clerk)` called in the clerk, where it must not block.
  template <class F>
  void ask(F ask) {
    ++handed_over_;
    post(clerk_, [this, ask = std::move(ask)]() mutable {
      ask(clerk_self_);
      ++sent_;
      sent_.notify_all();
    });
  }

  /// Has `f()` called in the courier, where it may block.
  template <class F>
  void call(F f) {
    post(courier_, std::move(f));
  }

  /// Returns when what was handed to the clerk before has left it, so that what the calling thread says next overtakes
  /// nothing of it. (What was handed over before stands before all else in the clerk's mailbox: when it has sent as
  /// many as had been handed over, that is among them.) Nothing to wait for is the usual case. Not for the clerk.
  void wait_for_clerk() {
    auto until = handed_over_.load();
    for (auto sent = sent_.load(); sent < until; sent = sent_.load())
      sent_.wait(sent);
  }

  /// Ends both, once they have done what they were told before, and waits for that. Not to be used afterwards.
  void stop(caf::actor_system& system) {
    post(clerk_, [this] { clerk_self_->quit(); });
    post(courier_, [this] { courier_self_->quit(); });
    caf::scoped_actor self{system};
    self->wait_for(clerk_, courier_);
  }

private:
  /// An actor that does what is posted to it.
  static caf::behavior idle(caf::event_based_actor* self, caf::event_based_actor** known_as) {
    *known_as = self;
    return {[](caf::unit_t) {}};
  }

  std::atomic<uint64_t> handed_over_{0};
  std::atomic<uint64_t> sent_{0};
  caf::event_based_actor* clerk_self_ = nullptr;   ///< Only inside the clerk.
  caf::event_based_actor* courier_self_ = nullptr; ///< Only inside the courier.
  caf::actor clerk_;
  caf::actor courier_;
};

} // namespace modelforge
