#pragma once

#include <modelforge/actors/system.hpp>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <caf/send.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace modelforge::test {

/// What a request came to; both are empty while the answer is outstanding.
template <class T>
struct outcome {
  std::optional<T> value;
  std::optional<failure> error;

  bool pending() const { return !value && !error; }
};

/// An actor system without threads and with a clock that only tests move. (In CAF 1.x this scheduler lives in CAF's own
/// test library: this is the one file that would differ.)
class deterministic {
public:
  deterministic() : system_(prepared(config_)) {}

  ~deterministic() {
    for (auto& x : held_)
      caf::anon_send_exit(x, caf::exit_reason::user_shutdown);
    held_.clear();
    run();
  }

  caf::actor_system& system() { return system_; }

  /// Ends `x` with the test, so that a pending timer cannot hang it.
  template <class Handle>
  Handle hold(Handle x) {
    held_.push_back(caf::actor_cast<caf::actor>(x));
    run();
    return x;
  }

  /// Sends a request; the outcome fills in when the answer arrives.
  template <class T, class Handle, class... Ts>
  std::shared_ptr<outcome<T>> ask(const Handle& to, Ts... xs) {
    auto result = std::make_shared<outcome<T>>();
    system_.spawn([=](caf::event_based_actor* self) {
      self->request(to, caf::infinite, xs...)
        .then([=](const T& x) { result->value = x; }, [=](const caf::error& x) { result->error = failure_of(x); });
    });
    run();
    return result;
  }

  /// Like `ask`, but returns the actor that asks, so that the test can end it.
  template <class T, class Handle, class... Ts>
  caf::actor ask_and_hold(std::shared_ptr<outcome<T>> result, const Handle& to, Ts... xs) {
    auto asker = system_.spawn([=](caf::event_based_actor* self) {
      self->request(to, caf::infinite, xs...)
        .then([=](const T& x) { result->value = x; }, [=](const caf::error& x) { result->error = failure_of(x); });
    });
    run();
    return asker;
  }

  /// Ends an actor as if it had died.
  void kill(const caf::actor& x) {
    caf::anon_send_exit(x, caf::exit_reason::kill);
    run();
  }

  /// Like `ask`, for handlers that answer nothing.
  template <class Handle, class... Ts>
  std::shared_ptr<outcome<bool>> ask_void(const Handle& to, Ts... xs) {
    auto result = std::make_shared<outcome<bool>>();
    system_.spawn([=](caf::event_based_actor* self) {
      self->request(to, caf::infinite, xs...)
        .then([=] { result->value = true; }, [=](const caf::error& x) { result->error = failure_of(x); });
    });
    run();
    return result;
  }

  template <class Handle, class... Ts>
  void tell(const Handle& to, Ts&&... xs) {
    caf::anon_send(to, std::forward<Ts>(xs)...);
    run();
  }

  /// Delivers messages until none is left.
  void run() { scheduler().run(); }

  /// Moves the clock, stopping at each timer that falls due on the way.
  void advance(caf::timespan by) {
    auto& clock = scheduler().clock();
    auto end = clock.current_time + by;
    while (!clock.schedule.empty() && clock.schedule.begin()->first <= end) {
      auto due = std::max(clock.schedule.begin()->first, clock.current_time);
      clock.advance_time(due - clock.current_time); // skips cancelled timers
      run();
    }
    clock.current_time = end;
  }

  /// How many timers are pending, cancelled ones that were not removed yet included.
  std::size_t timers() { return scheduler().clock().schedule.size(); }

private:
  static caf::actor_system_config& prepared(caf::actor_system_config& x) {
    x.set("caf.scheduler.policy", "testing");
    return x;
  }

  caf::scheduler::test_coordinator& scheduler() {
    return static_cast<caf::scheduler::test_coordinator&>(system_.scheduler());
  }

  struct types {
    types() { init_types(); }
  };

  types types_; // before the configuration object
  caf::actor_system_config config_;
  caf::actor_system system_;
  std::vector<caf::actor> held_;
};

} // namespace modelforge::test
