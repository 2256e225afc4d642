#include "actors/support/drain.hpp"
#include "actors/support/state_handle.hpp"
#include "actors/support/timer.hpp"
#include "tests/support/deterministic.hpp"

#include <modelforge/messages/type_ids.hpp>

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <vector>

namespace modelforge::support_test {

using namespace std::chrono_literals;

namespace {

using worker_actor = caf::typed_actor<caf::result<void>(drain_atom, caf::timespan)>;

/// What a worker has seen; it outlives the actor.
struct diary {
  std::vector<caf::timespan> wake_ups;
  int expired = 0;
  int visits = 0;
};

/// Has one piece of work, until it is told that there is none.
class worker {
public:
  static inline const char* name = "worker";

  worker(worker_actor::pointer self, diary* to) : self_(self), start_(self->clock().now()), diary_(to) {}

  worker_actor::behavior_type make_behavior() {
    return {[this](drain_atom, caf::timespan grace) {
      auto reply = drain.begin(self_, grace, !busy);
      wakes.arm(drain.wake_at());
      return reply;
    }};
  }

  void visit() { ++diary_->visits; }
  timer::time_point after(caf::timespan time) const { return start_ + time; }

private:
  void on_time() {
    auto now = self_->clock().now();
    diary_->wake_ups.push_back(now - start_);
    diary_->expired += drain.expire(now);
    wakes.arm(drain.wake_at());
  }

  worker_actor::pointer self_;
  timer::time_point start_;
  diary* diary_;

public:
  drain_period drain;
  timer wakes{self_, [this] { on_time(); }};
  bool busy = true;
};

struct support_test : test::deterministic {
  diary seen;
  worker_actor actor = system().spawn<worker_actor::stateful_impl<worker>>(&seen);
  state_handle<worker> state = state_of<worker>(actor);

  support_test() { hold(actor); }

  template <class F>
  void inside(F f) {
    state.run(std::move(f));
    run();
  }

  void arm(caf::timespan after) {
    inside([after](worker& me) { me.wakes.arm(me.after(after)); });
  }
};

} // namespace

TEST_CASE_METHOD(support_test, "timer: an actor wakes at its earliest deadline, and later ones cost no timer",
                 "[actors]") {
  arm(10s);
  arm(20s);
  arm(10s);
  CHECK(timers() == 1);
  arm(5s);
  CHECK(timers() == 2);
  advance(7s);
  CHECK(seen.wake_ups == std::vector<caf::timespan>{5s});
  advance(10s);
  CHECK(seen.wake_ups == std::vector<caf::timespan>{5s, 10s});
  inside([](worker& me) {
    me.wakes.arm({});
    me.wakes.arm(timer::time_point::max());
  });
  CHECK(timers() == 0);
}

TEST_CASE_METHOD(support_test, "timer: an actor that has ended is not woken", "[actors]") {
  arm(10s);
  kill(caf::actor_cast<caf::actor>(actor));
  advance(20s);
  CHECK(seen.wake_ups.empty());
}

TEST_CASE_METHOD(support_test, "drain: who asks hears when nothing is left", "[actors]") {
  auto first = ask_void(actor, drain_atom_v, caf::timespan{10s});
  auto second = ask_void(actor, drain_atom_v, caf::timespan{20s});
  CHECK(first->pending());
  inside([](worker& me) {
    CHECK(me.drain.is_on());
    me.drain.finish();
    CHECK_FALSE(me.drain.wake_at());
  });
  CHECK(first->value);
  CHECK(second->value);
}

TEST_CASE_METHOD(support_test, "drain: an idle actor has nothing to wait for", "[actors]") {
  inside([](worker& me) { me.busy = false; });
  CHECK(ask_void(actor, drain_atom_v, caf::timespan{10s})->value);
  CHECK(timers() == 0);
}

TEST_CASE_METHOD(support_test, "drain: the grace period can only be shortened, and is over once", "[actors]") {
  auto first = ask_void(actor, drain_atom_v, caf::timespan{10s});
  auto second = ask_void(actor, drain_atom_v, caf::timespan{3s});
  advance(4s);
  CHECK(seen.expired == 1);
  advance(20s);
  CHECK(seen.expired == 1);
  CHECK(first->pending());
}

TEST_CASE_METHOD(support_test, "drain: an actor that is wanted again lets go of who waits", "[actors]") {
  auto asker = ask_void(actor, drain_atom_v, caf::timespan::max());
  CHECK(timers() == 0); // it may take as long as it likes
  inside([](worker& me) {
    me.drain.revoke();
    CHECK_FALSE(me.drain.is_on());
  });
  CHECK(asker->value);
  advance(1h);
  CHECK(seen.expired == 0);
}

TEST_CASE_METHOD(support_test, "state handle: what is run inside an actor that has ended is dropped", "[actors]") {
  CHECK(state);
  CHECK_FALSE(state_handle<worker>{});
  inside([](worker& me) { me.visit(); });
  CHECK(seen.visits == 1);
  kill(caf::actor_cast<caf::actor>(actor));
  inside([](worker& me) { me.visit(); });
  CHECK(seen.visits == 1);
}

} // namespace modelforge::support_test
