#include "actors/stream_relay.hpp"

#include "tests/support/deterministic.hpp"

#include <caf/exit_reason.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <optional>

namespace modelforge::stream_relay_test {

using namespace std::chrono_literals;

namespace {

/// What a subscriber hears.
struct heard {
  int chunks = 0;
  int ends = 0;
  std::optional<failure> why; ///< Of its end, if that was none to wish for.
};

stream_subscriber_actor::behavior_type subscriber(stream_subscriber_actor::pointer, heard* by) {
  return {
    [by](const stream_chunk&) { ++by->chunks; },
    [by](const stream_done&) { ++by->ends; },
    [by](const stream_failed& x) {
      ++by->ends;
      by->why = x.why;
    },
  };
}

stream_session_actor::behavior_type session(stream_session_actor::pointer) {
  return {
    [](grant_atom, uint32_t) {},
    [](subscribe_atom, const stream_subscriber_actor&, const subscription&) {},
    [](cancel_atom) {},
    [](status_atom) { return stream_status{}; },
  };
}

caf::behavior proxy(caf::event_based_actor*) {
  return {[](int) {}};
}

/// A relay of a session that has begun.
struct relay_test : test::deterministic {
  relay_test() {
    relay_parts parts;
    parts.subscriber = hold(system().spawn(subscriber, &is));
    parts.proxy = caf::actor_cast<provider_actor>(hold(system().spawn(proxy)));
    parts.owner = "far";
    relay = spawn_stream_relay(system(), std::move(parts));
    from = hold(system().spawn(session));
    relay.begin(from);
    run();
  }

  void end_session(caf::exit_reason why) {
    caf::anon_send_exit(from, why);
    run();
  }

  heard is;
  stream_relay relay;
  stream_session_actor from;
};

} // namespace

TEST_CASE_METHOD(relay_test, "the news of a session's end may overtake its last words", "[node][stream]") {
  CHECK(ask<stream_status>(relay.session, status_atom_v)->value);
  end_session(caf::exit_reason::user_shutdown);
  CHECK(ask<stream_status>(relay.session, status_atom_v)->error); // nobody is asked who has ended
  advance(4s);
  tell(relay.subscriber, stream_chunk{});
  tell(relay.subscriber, stream_done{});
  advance(1h);
  CHECK(is.chunks == 1);
  CHECK(is.ends == 1);
  CHECK_FALSE(is.why);
}

TEST_CASE_METHOD(relay_test, "a session whose node is lost ends the stream at once", "[node][stream]") {
  tell(relay.subscriber, stream_chunk{});
  end_session(caf::exit_reason::remote_link_unreachable);
  REQUIRE(is.why);
  CHECK(is.why->code == errc::node_lost);
  advance(1h);
  CHECK(is.ends == 1);
}

TEST_CASE_METHOD(relay_test, "a session that ends without a word ends the stream all the same", "[node][stream]") {
  end_session(caf::exit_reason::user_shutdown);
  CHECK(is.ends == 0);
  advance(5s);
  REQUIRE(is.why);
  CHECK(is.why->code == errc::node_lost);
}

} // namespace modelforge::stream_relay_test
