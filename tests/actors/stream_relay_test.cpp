#include "actors/stream_relay.hpp"

#include "actors/support/mail.hpp"

#include "tests/support/deterministic.hpp"

#include <caf/exit_reason.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

namespace modelforge::stream_relay_test {

using namespace std::chrono_literals;

namespace {

/// What a subscriber hears.
struct heard {
  int chunks = 0;
  int ends = 0;
  uint64_t tokens = 0;
  std::optional<stream_done> done;
  std::optional<failure> why; ///< Of its end, if that was none to wish for.
};

stream_subscriber_actor::behavior_type subscriber(stream_subscriber_actor::pointer, heard* by) {
  return {
    [by](const stream_chunk& x) {
      ++by->chunks;
      by->tokens = x.tokens;
    },
    [by](const stream_done& x) {
      ++by->ends;
      by->done = x;
    },
    [by](const stream_failed& x) {
      ++by->ends;
      by->why = x.why;
    },
  };
}

/// What a session was asked; it answers those who come later when the test says so.
struct session_script {
  uint32_t granted = 0;
  std::vector<stream_subscriber_actor> later;
  std::vector<caf::typed_response_promise<void>> replies;
};

stream_session_actor::behavior_type session(stream_session_actor::pointer self, session_script* script) {
  return {
    [=](grant_atom, uint32_t chunks) { script->granted += chunks; },
    [=](subscribe_atom, const stream_subscriber_actor& who, const subscription&) -> caf::result<void> {
      auto reply = self->make_response_promise<void>();
      script->later.push_back(who);
      script->replies.push_back(reply);
      return reply;
    },
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
    reader = hold(system().spawn(subscriber, &is));
    parts.subscriber = reader;
    parts.proxy = caf::actor_cast<provider_actor>(hold(system().spawn(proxy)));
    parts.owner = "far";
    parts.ended = [this] { ++ended; };
    relay = spawn_stream_relay(system(), std::move(parts));
    from = hold(system().spawn(session, &script));
    relay.begin(from);
    run();
  }

  ~relay_test() {
    post(from, [left = std::move(script.replies)] {}); // promises end inside their actor
    run();
  }

  void end_session(caf::exit_reason why) {
    caf::anon_send_exit(from, why);
    run();
  }

  /// One more subscriber, whose wish is with the session.
  stream_subscriber_actor join() {
    auto who = hold(system().spawn(subscriber, &late));
    joined = ask_void(relay.session, subscribe_atom_v, who, subscription{});
    return who;
  }

  /// The session takes it in.
  void take_in() {
    REQUIRE(script.replies.size() == 1);
    post(from, [this] { script.replies[0].deliver(); }); // inside the session, as actors do
    run();
  }

  void end_first_reader() {
    kill(caf::actor_cast<caf::actor>(reader));
    reader = nullptr;
  }

  heard is;
  heard late;
  int ended = 0;
  session_script script;
  stream_subscriber_actor reader;
  std::shared_ptr<test::outcome<bool>> joined;
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

TEST_CASE_METHOD(relay_test, "a grant without a sender is nobody's", "[node][stream]") {
  auto who = join();
  take_in();
  tell(relay.session, grant_atom_v, 7u);
  CHECK(script.granted == 0);
  CHECK(joined->value);
}

TEST_CASE_METHOD(relay_test, "figures that a session elsewhere tells are cut", "[node][stream][told]") {
  stream_chunk chunk;
  chunk.sequence = chunk.next = chunk.tokens = UINT64_MAX;
  tell(relay.subscriber, chunk);
  CHECK(is.tokens == max_output_tokens);
  stream_done done;
  done.pieces = UINT64_MAX;
  done.first_token = std::chrono::nanoseconds::min();
  done.result.usage = token_usage{UINT64_MAX, UINT64_MAX};
  tell(relay.subscriber, done);
  REQUIRE(is.done);
  CHECK(is.done->first_token == 0ns);
  CHECK_FALSE(is.done->result.usage);
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

TEST_CASE_METHOD(relay_test, "a late subscriber has its stream though the first one ends meanwhile", "[node][stream]") {
  auto second = join();
  SECTION("by its end") {
    tell(relay.subscriber, stream_done{});
  }
  SECTION("by its death") {
    end_first_reader();
  }
  take_in();
  CHECK(joined->value);
  REQUIRE(script.later.size() == 1);
  tell(script.later[0], stream_chunk{});
  CHECK(late.chunks == 1);
  tell(script.later[0], stream_done{});
  CHECK(late.ends == 1);
  CHECK(ended == 1);
  CHECK_FALSE(ask<stream_status>(relay.session, status_atom_v)->value); // nothing is left behind
}

TEST_CASE_METHOD(relay_test, "a late subscriber's demand reaches the session after the first one's end",
                 "[node][stream]") {
  auto second = join();
  take_in();
  SECTION("by its end") {
    tell(relay.subscriber, stream_done{});
  }
  SECTION("by its death") {
    end_first_reader();
  }
  CHECK(ended == 0);
  auto before = script.granted;
  caf::send_as(second, relay.session, grant_atom_v, uint32_t{7});
  run();
  CHECK(script.granted == before + 7);
  tell(script.later.at(0), stream_done{});
  CHECK(late.ends == 1);
  CHECK(ended == 1);
}

TEST_CASE_METHOD(relay_test, "a late subscriber that the session refuses hears nothing", "[node][stream]") {
  auto second = join();
  auto no = caf::make_error(errc::too_large, make_failure(errc::too_large, "not kept"));
  post(from, [this, no] { script.replies.at(0).deliver(no); });
  run();
  REQUIRE(joined->error);
  CHECK(joined->error->code == errc::too_large);
  tell(relay.subscriber, stream_done{});
  CHECK(is.ends == 1);
  CHECK(late.ends == 0);
  CHECK(ended == 1);
}

TEST_CASE_METHOD(relay_test, "a late subscriber of a session that is lost is told", "[node][stream]") {
  auto second = join();
  SECTION("before it was taken in") {
    end_session(caf::exit_reason::remote_link_unreachable);
    REQUIRE(joined->error);
    CHECK(joined->error->code == errc::node_lost);
    CHECK(late.ends == 0);
  }
  SECTION("afterwards") {
    take_in();
    end_session(caf::exit_reason::remote_link_unreachable);
    CHECK(late.ends == 1);
  }
  CHECK(is.ends == 1);
  CHECK(ended == 1);
}

} // namespace modelforge::stream_relay_test
