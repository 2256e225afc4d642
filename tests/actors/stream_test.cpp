#include "tests/actors/provider_fixture.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <caf/typed_event_based_actor.hpp>

namespace modelforge::stream_test {

using namespace std::chrono_literals;

namespace {

/// A subscriber's memory.
struct heard {
  std::string text;
  std::vector<stream_chunk> chunks;
  std::vector<stream_done> done;
  std::vector<stream_failed> failed;
  stream_session_actor session; ///< Who sent the first chunk.

  std::size_t ends() const { return done.size() + failed.size(); }
};

struct stream_test : test::provider_test {
  using memory = std::shared_ptr<heard>;

  /// A subscriber that remembers, and grants `each` chunks for every one it gets.
  stream_subscriber_actor subscriber(const memory& to, uint32_t each = 1) {
    return system().spawn([=](stream_subscriber_actor::pointer self) -> stream_subscriber_actor::behavior_type {
      return {
        [=](const stream_chunk& x) {
          to->text += text_of(x);
          to->chunks.push_back(x);
          to->session = caf::actor_cast<stream_session_actor>(self->current_sender());
          if (each > 0)
            self->send(to->session, grant_atom_v, each);
        },
        [=](const stream_done& x) { to->done.push_back(x); },
        [=](const stream_failed& x) { to->failed.push_back(x); },
      };
    });
  }

  stream_request asked(uint64_t n = 1) {
    stream_request x;
    x.chat = question(n);
    return x;
  }

  /// Starts a stream for a subscriber that takes everything.
  std::shared_ptr<test::outcome<stream_session_actor>> start(const provider_actor& at, const memory& to,
                                                             stream_request x) {
    last = subscriber(to);
    return ask<stream_session_actor>(at, std::move(x), last);
  }

  static std::string delta(const std::string& text) {
    return "data: {\"id\":\"c\",\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" + text
           + "\"},\"finish_reason\":null}]}\n\n";
  }

  static std::string end_mark() {
    return "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
           "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\n\n"
           "data: [DONE]\n\n";
  }

  stream_subscriber_actor last;
};

} // namespace

TEST_CASE_METHOD(stream_test, "a stream comes in chunks and ends once", "[actors][stream]") {
  auto provider = spawn();
  auto to = std::make_shared<heard>();
  auto session = start(provider, to, asked());
  REQUIRE(session->value);
  CHECK(http->at(0).request.body.find("\"stream\":true") != std::string::npos);
  CHECK_FALSE(http->at(0).request.compression);
  advance(30ms);
  http->stream(0, delta("Hel") + delta("lo"));
  run();
  REQUIRE(to->chunks.size() == 1); // one message for one read
  CHECK(to->chunks[0].pieces.size() == 2);
  CHECK(to->chunks[0].sequence == 0);
  CHECK(to->chunks[0].next == 2);
  CHECK(to->chunks[0].tokens == 2);
  http->send(0, delta("!"));
  run();
  CHECK(to->text == "Hello!");
  CHECK(to->chunks.at(1).sequence == 2);
  CHECK(status(provider).in_flight == 1);
  http->send(0, end_mark());
  run();
  CHECK(to->done.empty()); // more may follow
  advance(100ms);
  REQUIRE(to->done.size() == 1);
  auto& done = to->done[0];
  CHECK(done.stream == request_id{1, 1});
  CHECK(done.pieces == 3);
  CHECK(done.first_token == 30ms);
  CHECK(done.result.finish_reason == finish_reason::stop);
  CHECK(done.result.usage->output == 2);
  CHECK(done.result.provider == "acme");
  CHECK(done.result.text.empty());
  CHECK(done.result.attempts.size() == 1);
  CHECK(status(provider).in_flight == 0);
  CHECK(status(provider).answered == 1);
  CHECK(http->let_go.size() == 1); // the connection may be used again
  CHECK(http->cancelled.empty());
  http->end(0);
  run();
  CHECK(to->ends() == 1);
  auto gone = ask<stream_status>(*session->value, status_atom_v);
  CHECK(gone->error);
}

TEST_CASE_METHOD(stream_test, "the whole text comes at the end where it was asked for", "[actors][stream]") {
  auto to = std::make_shared<heard>();
  auto x = asked();
  x.whole_text = true;
  start(spawn(), to, x);
  http->stream(0, delta("Hel") + delta("lo") + end_mark());
  http->end(0);
  run();
  REQUIRE(to->done.size() == 1);
  CHECK(to->done[0].result.text == "Hello");
}

TEST_CASE_METHOD(stream_test, "a stream that cannot be taken in is an error, and its subscriber hears nothing",
                 "[actors][stream]") {
  auto provider = spawn();
  auto to = std::make_shared<heard>();
  auto x = asked();
  x.chat.messages[0].content = {text_part{"\xff"}};
  CHECK(start(provider, to, x)->error->code == errc::invalid_request);
  x = asked();
  x.as.from = 3;
  CHECK(start(provider, to, x)->error->code == errc::invalid_request);
  CHECK(ask<stream_session_actor>(provider, asked(), stream_subscriber_actor{})->error->code == errc::invalid_request);
  REQUIRE(start(provider, to, asked(5))->value);
  CHECK(start(provider, to, asked(5))->error->code == errc::duplicate_request);
  CHECK(to->ends() == 0);
}

TEST_CASE_METHOD(stream_test, "a stream is tried again until its first chunk", "[actors][stream]") {
  auto to = std::make_shared<heard>();
  auto provider = spawn();
  start(provider, to, asked());
  http->answer(0, 503, R"({"error":{"message":"busy","type":"server_error"}})");
  run();
  advance(10s);
  REQUIRE(http->pending() == 1);
  http->stream(0); // and breaks before anything has come
  http->fail(0, errc::connection_lost, true);
  run();
  advance(10s);
  REQUIRE(http->pending() == 1);
  CHECK(to->ends() == 0);
  http->stream(0, delta("yes") + end_mark());
  http->end(0);
  run();
  CHECK(to->text == "yes");
  REQUIRE(to->done.size() == 1);
  CHECK(to->done[0].result.attempts.size() == 3);
}

TEST_CASE_METHOD(stream_test, "what nobody has taken is forgotten before the next attempt", "[actors][stream]") {
  auto to = std::make_shared<heard>();
  auto x = asked();
  x.as.demand = 0;
  auto session = start(spawn(), to, x);
  http->stream(0, delta("first"));
  run();
  http->fail(0, errc::connection_lost, true);
  run();
  advance(10s);
  REQUIRE(http->pending() == 1);
  http->stream(0, delta("second"));
  run();
  auto late = std::make_shared<heard>();
  CHECK(ask_void(*session->value, subscribe_atom_v, subscriber(late), subscription{})->value);
  CHECK(late->text == "second");
}

TEST_CASE_METHOD(stream_test, "a stream that broke after its first chunk is told, not repeated", "[actors][stream]") {
  auto to = std::make_shared<heard>();
  auto provider = spawn();
  start(provider, to, asked());
  http->stream(0, delta("par") + delta("tial"));
  run();
  http->fail(0, errc::connection_lost, true);
  run();
  advance(10s);
  CHECK(http->pending() == 0);
  CHECK(to->text == "partial");
  REQUIRE(to->failed.size() == 1);
  CHECK(to->failed[0].why.code == errc::stream_interrupted);
  CHECK(to->failed[0].pieces == 2);
  CHECK(to->failed[0].why.attempts.size() == 1);
  CHECK(to->done.empty());
  CHECK(status(provider).in_flight == 0);
}

TEST_CASE_METHOD(stream_test, "a body that ends without the end mark is a failure", "[actors][stream]") {
  auto to = std::make_shared<heard>();
  start(spawn(), to, asked());
  http->stream(0, delta("a"));
  run();
  http->end(0);
  run();
  REQUIRE(to->failed.size() == 1);
  CHECK(to->failed[0].why.code == errc::stream_interrupted);
}

TEST_CASE_METHOD(stream_test, "a body's last bytes count without an end of their line, whatever its success is called",
                 "[actors][stream]") {
  for (auto status : {200, 201, 206}) {
    auto to = std::make_shared<heard>();
    start(spawn(), to, asked());
    http->answer(0, static_cast<uint16_t>(status),
                 delta("Hel") + R"(data: {"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]})");
    run();
    REQUIRE(to->done.size() == 1);
    CHECK(to->text == "Hello");
    CHECK(to->done[0].pieces == 2);
    CHECK(to->done[0].result.warnings.size() == 1);
  }
}

TEST_CASE_METHOD(stream_test, "an error inside a stream is the provider's own, even before the end mark",
                 "[actors][stream]") {
  auto to = std::make_shared<heard>();
  start(spawn(), to, asked());
  http->stream(0, delta("a"));
  run();
  http->send(0, "data: {\"error\":{\"message\":\"it burns\",\"type\":\"server_error\"}}\n\ndata: [DONE]\n\n");
  run();
  REQUIRE(to->failed.size() == 1);
  CHECK(to->failed[0].why.provider_message == "it burns");
  CHECK(http->cancelled.size() == 1);
}

TEST_CASE_METHOD(stream_test, "without demand the transfer gets no credit", "[actors][stream]") {
  auto to = std::make_shared<heard>();
  auto x = asked();
  x.as.demand = 1;
  auto reader = subscriber(to, 0);
  auto session = ask<stream_session_actor>(spawn(), x, reader);
  http->stream(0, delta(std::string(15'000, 'x')));
  run();
  for (int i = 0; i < 3; ++i) {
    http->send(0, delta(std::string(15'000, 'y')));
    run();
  }
  CHECK(to->chunks.size() == 1);
  auto before = http->granted[1];
  CHECK(before < 20'000); // only for what was handed over
  http->send(0, delta(std::string(15'000, 'z')));
  run();
  CHECK(http->granted[1] == before);
  CHECK(ask<stream_status>(*session->value, status_atom_v)->value->subscribers == 1);
}

TEST_CASE_METHOD(stream_test, "a dead subscriber stops the provider's work at once", "[actors][stream]") {
  auto provider = spawn();
  auto to = std::make_shared<heard>();
  start(provider, to, asked());
  http->stream(0, delta("a"));
  run();
  REQUIRE(status(provider).in_flight == 1);
  kill(caf::actor_cast<caf::actor>(last));
  CHECK(http->cancelled.size() == 1);
  auto now = status(provider);
  CHECK(now.in_flight == 0);
  CHECK(now.failed == 1);
}

TEST_CASE_METHOD(stream_test, "a dead subscriber takes a queued stream out of the queue", "[actors][stream]") {
  settings.max_concurrent = 1;
  settings.interactive_slots = 0;
  auto provider = spawn();
  auto first = std::make_shared<heard>();
  auto second = std::make_shared<heard>();
  start(provider, first, asked(1));
  start(provider, second, asked(2));
  REQUIRE(status(provider).queued == 1);
  kill(caf::actor_cast<caf::actor>(last));
  CHECK(status(provider).queued == 0);
  CHECK(status(provider).in_flight == 1);
}

TEST_CASE_METHOD(stream_test, "a stream may be drained when its reader has gone, for its usage", "[actors][stream]") {
  auto provider = spawn();
  auto to = std::make_shared<heard>();
  auto x = asked();
  x.on_disconnect = disconnect_policy::drain;
  start(provider, to, x);
  http->stream(0, delta("a"));
  run();
  kill(caf::actor_cast<caf::actor>(last));
  CHECK(http->cancelled.empty());
  http->send(0, delta("b") + end_mark());
  http->end(0);
  run();
  CHECK(status(provider).answered == 1);
  CHECK(status(provider).in_flight == 0);
}

TEST_CASE_METHOD(stream_test, "every end of a session frees its slot", "[actors][stream]") {
  auto provider = spawn();
  auto to = std::make_shared<heard>();
  auto session = start(provider, to, asked());
  http->stream(0, delta("a"));
  run();
  SECTION("cancelled by its handle") {
    tell(*session->value, cancel_atom_v);
    REQUIRE(to->failed.size() == 1);
    CHECK(to->failed[0].why.code == errc::cancelled);
  }
  SECTION("cancelled by its request's id") {
    tell(provider, cancel_atom_v, request_id{1, 1});
    REQUIRE(to->failed.size() == 1);
    CHECK(to->failed[0].why.code == errc::cancelled);
  }
  SECTION("asked to exit") {
    caf::anon_send_exit(*session->value, caf::exit_reason::user_shutdown);
    run();
    REQUIRE(to->failed.size() == 1);
    CHECK(to->failed[0].why.code == errc::cancelled);
  }
  SECTION("killed") {
    kill(caf::actor_cast<caf::actor>(*session->value));
  }
  CHECK(http->cancelled.size() == 1);
  CHECK(status(provider).in_flight == 0);
  CHECK(to->ends() <= 1);
}

TEST_CASE_METHOD(stream_test, "a provider that ends ends its streams", "[actors][stream]") {
  auto provider = spawn();
  auto to = std::make_shared<heard>();
  start(provider, to, asked());
  http->stream(0, delta("a"));
  run();
  caf::anon_send_exit(provider, caf::exit_reason::user_shutdown);
  run();
  REQUIRE(to->failed.size() == 1);
  CHECK(to->failed[0].why.code == errc::cancelled);
  CHECK(http->cancelled.size() == 1);
}

TEST_CASE_METHOD(stream_test, "a silent provider is given up by the timers for the first piece and for the next ones",
                 "[actors][stream]") {
  settings.timeouts.first_token = 10s;
  settings.timeouts.idle = 2s;
  settings.retry.max_attempts = 1;
  auto provider = spawn();
  auto to = std::make_shared<heard>();
  start(provider, to, asked());
  SECTION("nothing comes") {
    http->stream(0);
    run();
    advance(9'990ms);
    CHECK(to->ends() == 0);
    advance(20ms);
    REQUIRE(to->failed.size() == 1);
    CHECK(to->failed[0].why.suggestion.find("timeouts.first_token") != std::string::npos);
  }
  SECTION("comments come, and no pieces") {
    http->stream(0, delta("a"));
    run();
    for (int i = 0; i < 199; ++i) {
      advance(10ms);
      http->send(0, ": keep-alive\n\n");
      run();
    }
    CHECK(to->ends() == 0);
    advance(20ms);
    REQUIRE(to->failed.size() == 1);
    CHECK(to->failed[0].why.suggestion.find("timeouts.idle") != std::string::npos);
  }
  CHECK(to->failed[0].why.code == errc::attempt_timeout);
  CHECK(http->cancelled.size() == 1);
  CHECK(status(provider).in_flight == 0);
}

TEST_CASE_METHOD(stream_test, "a stream ends at its request's deadline", "[actors][stream]") {
  auto provider = spawn();
  auto to = std::make_shared<heard>();
  auto x = asked();
  x.chat.deadline = 5s;
  start(provider, to, x);
  http->stream(0, delta("a"));
  run();
  advance(5s);
  REQUIRE(to->failed.size() == 1);
  CHECK(to->failed[0].why.code == errc::deadline_exceeded);
  CHECK(http->cancelled.size() == 1);
  CHECK(status(provider).in_flight == 0);
}

TEST_CASE_METHOD(stream_test, "a slow reader is held to the deadline, though the answer has ended",
                 "[actors][stream]") {
  settings.stream.reader_idle = 1h;
  auto provider = spawn();
  auto to = std::make_shared<heard>();
  auto x = asked();
  SECTION("the request's") {
    x.chat.deadline = 5s;
  }
  SECTION("the provider's") {
    settings.deadline = 5s, provider = spawn();
  }
  x.as.demand = 1;
  auto reader = subscriber(to, 0);
  REQUIRE(ask<stream_session_actor>(provider, x, reader)->value);
  http->stream(0, delta("a"));
  run();
  http->send(0, delta("b") + end_mark());
  http->end(0);
  run();
  CHECK(status(provider).answered == 1);
  advance(4'990ms);
  CHECK(to->text == "a");
  CHECK(to->ends() == 0);
  advance(20ms);
  REQUIRE(to->failed.size() == 1);
  CHECK(to->failed[0].why.code == errc::deadline_exceeded);
  auto drained = ask_void(provider, drain_atom_v, caf::timespan{1h});
  CHECK(drained->value); // nothing of it is left
}

TEST_CASE_METHOD(stream_test, "late subscribers get the whole stream or what they name", "[actors][stream]") {
  auto to = std::make_shared<heard>();
  auto session = *start(spawn(), to, asked())->value;
  http->stream(0, delta("a") + delta("b") + delta("c"));
  run();
  auto late = std::make_shared<heard>();
  auto later = std::make_shared<heard>();
  subscription from_one;
  from_one.from = 1;
  auto who = subscriber(late);
  CHECK(ask_void(session, subscribe_atom_v, who, subscription{})->value);
  CHECK(ask_void(session, subscribe_atom_v, subscriber(later), from_one)->value);
  CHECK(ask_void(session, subscribe_atom_v, who, subscription{})->error->code == errc::duplicate_request);
  subscription ahead;
  ahead.from = 9;
  CHECK(ask_void(session, subscribe_atom_v, subscriber(late), ahead)->error->code == errc::invalid_request);
  http->send(0, delta("d") + end_mark());
  http->end(0);
  run();
  CHECK(to->text == "abcd");
  CHECK(late->text == "abcd");
  CHECK(later->text == "bcd");
  CHECK(to->ends() + late->ends() + later->ends() == 3);
}

TEST_CASE_METHOD(stream_test, "a provider drains until its streams are handed over", "[actors][stream]") {
  auto provider = spawn();
  auto to = std::make_shared<heard>();
  auto x = asked();
  x.as.demand = 0;
  auto reader = subscriber(to);
  REQUIRE(ask<stream_session_actor>(provider, x, reader)->value);
  http->stream(0, delta("a") + end_mark());
  http->end(0);
  run();
  CHECK(status(provider).in_flight == 0);
  auto drained = ask_void(provider, drain_atom_v, caf::timespan{5s});
  CHECK(drained->pending());
  advance(5s);
  CHECK(drained->value);
  REQUIRE(to->failed.size() == 1);
  CHECK(to->failed[0].why.code == errc::cancelled);
}

TEST_CASE_METHOD(stream_test, "a reader that wants nothing is ended in the end", "[actors][stream]") {
  settings.stream.reader_idle = 3s;
  auto provider = spawn();
  auto to = std::make_shared<heard>();
  auto x = asked();
  x.as.demand = 0;
  auto reader = subscriber(to);
  REQUIRE(ask<stream_session_actor>(provider, x, reader)->value);
  http->stream(0, delta("a"));
  run();
  advance(2'990ms);
  CHECK(to->ends() == 0);
  advance(20ms);
  REQUIRE(to->failed.size() == 1);
  CHECK(to->failed[0].why.code == errc::slow_reader);
  CHECK(http->cancelled.size() == 1); // it was the last one
}

TEST_CASE_METHOD(stream_test, "an ended stream leaves no timer and no session", "[actors][stream]") {
  auto provider = spawn();
  for (uint64_t i = 1; i <= 100; ++i) {
    auto to = std::make_shared<heard>();
    start(provider, to, asked(i));
    http->stream(0, delta("a") + end_mark());
    run();
    http->end(0);
    run();
    REQUIRE(to->done.size() == 1);
    kill(caf::actor_cast<caf::actor>(last));
  }
  advance(100ms); // behind the end mark the last one waited for more
  CHECK(timers() <= 2);
  CHECK(system().registry().running() <= 3);
}

TEST_CASE_METHOD(stream_test, "a stream that was given up leaves nothing charged behind its window",
                 "[actors][stream]") {
  runtime.state_folder = "none";
  settings.rate_limit.requests_per_minute = 60;
  settings.rate_limit.burst = 10;
  auto provider = spawn();
  auto begun = GENERATE(false, true);
  CAPTURE(begun);
  for (uint64_t i = 1; i <= 2; ++i) {
    auto to = std::make_shared<heard>();
    auto session = *start(provider, to, asked(i))->value;
    REQUIRE(http->pending() == 1);
    if (begun) {
      http->write(0);
      http->stream(0, delta("a"));
      run();
    }
    tell(session, cancel_atom_v);
    REQUIRE(to->failed.size() == 1);
  }
  auto used = [&] { return status(provider).lanes.at(0).limits.at(0).used; };
  CHECK(used() == (begun ? 2 : 0)); // what went out was counted by the provider
  advance(61s);
  CHECK(used() == 0);
  auto to = std::make_shared<heard>();
  start(provider, to, asked(3));
  CHECK(http->pending() == 1);
}

TEST_CASE_METHOD(stream_test, "a session that dies before its transfer begins leaves none behind", "[actors][stream]") {
  settings.max_concurrent = 1;
  settings.interactive_slots = 0;
  auto provider = spawn();
  auto first = std::make_shared<heard>();
  auto second = std::make_shared<heard>();
  start(provider, first, asked(1));
  auto waiting = *start(provider, second, asked(2))->value;
  http->stream(0, delta("a") + end_mark());
  caf::anon_send_exit(waiting, caf::exit_reason::kill); // it dies as its turn comes
  run();
  http->end(0);
  run();
  CHECK(first->done.size() == 1);
  CHECK(http->pending() == 0);
  CHECK(status(provider).in_flight == 0);
  CHECK(second->ends() == 1); // its provider tells
}

TEST_CASE_METHOD(stream_test, "a stream that nobody holds is ended with its provider, and told", "[actors][stream]") {
  auto provider = spawn();
  auto to = std::make_shared<heard>();
  start(provider, to, asked());
  http->stream(0, delta("a"));
  run();
  to->session = nullptr;
  caf::anon_send_exit(provider, caf::exit_reason::user_shutdown);
  run();
  REQUIRE(to->failed.size() == 1);
  CHECK(to->failed[0].why.code == errc::cancelled);
}

TEST_CASE_METHOD(stream_test, "a cancel by id ends also who wants nothing", "[actors][stream]") {
  auto provider = spawn();
  auto to = std::make_shared<heard>();
  auto x = asked();
  x.as.demand = 0;
  auto reader = subscriber(to);
  REQUIRE(ask<stream_session_actor>(provider, x, reader)->value);
  http->stream(0, delta("a"));
  run();
  tell(provider, cancel_atom_v, request_id{1, 1});
  REQUIRE(to->failed.size() == 1);
  CHECK(to->failed[0].why.code == errc::cancelled);
}

TEST_CASE_METHOD(stream_test, "a probe whose stream begins lets the waiting ones go at once", "[actors][stream]") {
  settings.circuit_breaker.consecutive_failures = 1;
  settings.circuit_breaker.open_for = 5s;
  settings.circuit_breaker.when = when_open::wait;
  settings.retry.max_attempts = 1;
  auto provider = spawn();
  auto first = std::make_shared<heard>();
  start(provider, first, asked(1));
  http->fail(0, errc::connect_failed);
  run();
  REQUIRE(first->failed.size() == 1);
  auto second = std::make_shared<heard>();
  auto third = std::make_shared<heard>();
  start(provider, second, asked(2));
  start(provider, third, asked(3));
  REQUIRE(http->pending() == 0);
  advance(5s);
  REQUIRE(http->pending() == 1); // the probe
  http->stream(0, delta("a"));
  run();
  CHECK(http->pending() == 2);
}

TEST_CASE_METHOD(stream_test, "a probe's good status closes no breaker, its first piece does", "[actors][stream]") {
  settings.circuit_breaker.consecutive_failures = 1;
  settings.circuit_breaker.open_for = 5s;
  settings.circuit_breaker.when = when_open::wait;
  settings.retry.max_attempts = 1;
  auto provider = spawn();
  auto breaker = [&] { return status(provider).lanes.at(0).breaker; };
  auto first = std::make_shared<heard>();
  start(provider, first, asked(1));
  http->fail(0, errc::connect_failed);
  run();
  REQUIRE(first->failed.size() == 1);
  auto second = std::make_shared<heard>();
  auto third = std::make_shared<heard>();
  start(provider, second, asked(2));
  start(provider, third, asked(3));
  advance(5s);
  REQUIRE(http->pending() == 1); // the probe
  http->stream(0, ": a comment\n\n");
  run();
  CHECK(breaker() == "half_open");
  SECTION("then garbage") {
    http->stream(0, "data: {\"\x01\n\n");
    http->end(0);
    run();
    CHECK(second->failed.size() == 1);
    CHECK(breaker() == "open");
    CHECK(http->pending() == 0);
  }
  SECTION("then the answer") {
    http->stream(0, delta("a"));
    run();
    CHECK(breaker() == "closed");
    CHECK(http->pending() == 2);
  }
}

TEST_CASE_METHOD(stream_test, "an id in hand-over is not given twice", "[actors][stream]") {
  auto provider = spawn();
  auto to = std::make_shared<heard>();
  auto x = asked(7);
  x.as.demand = 0;
  auto reader = subscriber(to);
  REQUIRE(ask<stream_session_actor>(provider, x, reader)->value);
  http->stream(0, delta("a") + end_mark());
  run();
  CHECK(ask_chat(provider, question(7))->error->code == errc::duplicate_request);
}

} // namespace modelforge::stream_test
