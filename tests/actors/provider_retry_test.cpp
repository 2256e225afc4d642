#include "tests/actors/provider_fixture.hpp"
#include "tests/support/temporary_folder.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cstdlib>

namespace modelforge::provider_retry_test {

using namespace std::chrono_literals;
using test::provider_test;

namespace {

const std::string rate_limited =
  R"({"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}})";
const std::string broken = R"({"error":{"message":"The server had an error","type":"server_error"}})";

std::string header(const http::request& x, std::string_view name) {
  for (auto& h : x.headers)
    if (h.name == name)
      return h.value;
  return {};
}

} // namespace

TEST_CASE_METHOD(provider_test, "a failure that may pass is tried again, and every attempt is told",
                 "[actors][retry]") {
  auto answer = ask_chat(spawn(), question(1));
  CHECK(header(http->at(0).request, "x-modelforge-attempt") == "1");
  auto body = http->at(0).request.body;
  advance(20ms);
  http->answer(0, 500, broken);
  run();
  REQUIRE(answer->pending());
  advance(500ms); // the longest first pause
  REQUIRE(http->pending() == 1);
  CHECK(header(http->at(0).request, "x-modelforge-attempt") == "2");
  CHECK(http->at(0).request.body == body);
  say(0, "hello");
  REQUIRE(answer->value);
  auto& attempts = answer->value->attempts;
  REQUIRE(attempts.size() == 2);
  CHECK(attempts[0].number == 1);
  CHECK(attempts[0].http_status == 500);
  CHECK(attempts[0].result == errc::server_error);
  CHECK(attempts[0].duration == 20ms);
  CHECK(attempts[1].number == 2);
  CHECK(attempts[1].waited_for == wait_reason::backoff);
  CHECK(attempts[1].started == 20ms + attempts[1].waited);
  CHECK(attempts[1].result == errc::none);
}

TEST_CASE_METHOD(provider_test, "no request is sent more often than max_attempts", "[actors][retry]") {
  settings.retry.max_attempts = 4;
  auto provider = spawn();
  auto answer = ask_chat(provider, question(1));
  for (int i = 0; i < 4; ++i) {
    REQUIRE(http->pending() == 1);
    http->answer(0, 503, broken);
    run();
    advance(10s);
  }
  REQUIRE(answer->error);
  CHECK(answer->error->code == errc::overloaded);
  CHECK(answer->error->attempts.size() == 4);
  CHECK(http->pending() == 0);
  CHECK(status(provider).attempts == 4);
  CHECK(status(provider).retries.at("overload") == 3);
}

TEST_CASE_METHOD(provider_test, "what the server has not processed goes again at once, and as it was",
                 "[actors][retry]") {
  settings.retry.max_attempts = 1;
  settings.retry.retry_uncertain = false;
  settings.circuit_breaker.consecutive_failures = 1;
  auto provider = spawn();
  auto answer = ask_chat(provider, question(1));
  auto body = http->at(0).request.body;
  http->refuse(0);
  run();
  REQUIRE(http->pending() == 1);
  CHECK(http->at(0).request.body == body);
  CHECK(header(http->at(0).request, "x-modelforge-attempt") == "2");
  CHECK(status(provider).lanes.at(0).breaker == "closed");
  CHECK(status(provider).retries.at("refused") == 1);
  say(0, "hello");
  REQUIRE(answer->value);
  CHECK(answer->value->attempts.size() == 2);
}

TEST_CASE_METHOD(provider_test, "a batch item outlasts refusals, and the records of its attempts are bounded",
                 "[actors][retry]") {
  auto item = question(1);
  item.priority = priority::batch;
  auto provider = spawn();
  auto answer = ask_chat(provider, item);
  for (int i = 0; i < 100; ++i) {
    REQUIRE(http->pending() == 1);
    http->answer(0, i % 2 == 0 ? 429 : 503, rate_limited, {{"retry-after", "60"}});
    run();
    REQUIRE(answer->pending());
    advance(61s);
  }
  say(0, "hello");
  REQUIRE(answer->value);
  auto& attempts = answer->value->attempts;
  CHECK(attempts.size() <= 65);
  CHECK(attempts.front().number == 1);
  CHECK(attempts.back().number == 101);
}

TEST_CASE_METHOD(provider_test, "attempts that others made count, and are told", "[actors][retry]") {
  settings.retry.max_attempts = 3;
  auto provider = spawn();
  auto x = question(1);
  x.earlier = {2, 7s, {{1, "lost"}, {2, "lost"}}, false};
  x.earlier.records[1].result = errc::node_lost;
  auto answer = ask_chat(provider, x);
  REQUIRE(http->pending() == 1);
  CHECK(header(http->at(0).request, "x-modelforge-attempt") == "3");
  SECTION("in an answer") {
    say(0, "hello");
    REQUIRE(answer->value);
    auto& attempts = answer->value->attempts;
    REQUIRE(attempts.size() == 3);
    CHECK(attempts[0].lane == "lost");
    CHECK(attempts[2].number == 3);
    CHECK(attempts[2].started == 7s);
    CHECK(answer->value->timings.total == 7s);
  }
  SECTION("in a failure, of which there is no retry") {
    http->answer(0, 500, broken);
    run();
    REQUIRE(answer->error);
    CHECK(answer->error->attempts.size() == 3);
  }
  SECTION("so that none may be left") {
    say(0, "hello");
    for (uint32_t spent : {3u, 4u, 0xFFFFFFFFu}) {
      x.earlier.spent = spent;
      x.earlier.age = std::chrono::nanoseconds::max(); // what one is told may be absurd
      auto refused = ask_chat(provider, x);
      CHECK(http->pending() == 0);
      REQUIRE(refused->error);
      CHECK(refused->error->code == errc::node_lost);
      CHECK(refused->error->attempts.size() == 2);
    }
  }
}

TEST_CASE_METHOD(provider_test, "what was spent on a request is known when its asker comes again", "[actors][retry]") {
  settings.retry.max_attempts = 2;
  auto provider = spawn();
  auto x = question(1);
  x.earlier.report = true; // of another node, whose link may break
  auto asker = hold(system().spawn([=](caf::event_based_actor* self) -> caf::behavior {
    self->request(provider, caf::infinite, x).then([](const completion&) {}, [](const caf::error&) {});
    return {[](const request_id&, const attempts_made&) {}};
  }));
  http->answer(0, 500, broken);
  run();
  advance(1s);
  REQUIRE(http->pending() == 1);
  SECTION("after it was lost") {
    kill(asker);
  }
  SECTION("after an answer that it never had") {
    say(0, "hello");
  }
  CHECK(http->pending() == 0);
  x.earlier.spent = 1; // that it knows of
  auto again = ask_chat(provider, x);
  CHECK(http->pending() == 0);
  REQUIRE(again->error);
  CHECK(again->error->code == errc::node_lost);
  x.earlier.spent = 0; // another request of this id
  auto other = ask_chat(provider, x);
  REQUIRE(http->pending() == 1);
  say(0, "hello");
  CHECK(other->value);
}

TEST_CASE_METHOD(provider_test, "what the caller did wrong is not tried again", "[actors][retry]") {
  auto answer = ask_chat(spawn(), question(1));
  http->answer(0, 400, R"({"error":{"message":"no","type":"invalid_request_error"}})");
  run();
  REQUIRE(answer->error);
  CHECK(answer->error->code == errc::invalid_request);
  CHECK(answer->error->attempts.size() == 1);
}

TEST_CASE_METHOD(provider_test, "Retry-After is kept, and pauses all that would use the same key", "[actors][retry]") {
  auto provider = spawn();
  auto first = ask_chat(provider, question(1));
  http->answer(0, 429, rate_limited, {{"retry-after", "3"}});
  run();
  auto second = ask_chat(provider, question(2));
  CHECK(http->pending() == 0);
  CHECK(status(provider).lanes.at(0).paused_for == 3s);
  advance(2999ms);
  CHECK(http->pending() == 0);
  advance(101ms);
  REQUIRE(http->pending() == 2);
  say(0, "one");
  say(0, "two");
  REQUIRE(second->value);
  CHECK(second->value->attempts[0].waited_for == wait_reason::server_wait);
  CHECK(second->value->attempts[0].waited >= 3s);
  REQUIRE(first->value);
  CHECK(first->value->attempts[1].waited_for == wait_reason::server_wait);
}

TEST_CASE_METHOD(provider_test, "a wait that is too long ends the request at once, and says so", "[actors][retry]") {
  auto provider = spawn();
  auto x = question(1);
  x.deadline = 30s;
  auto answer = ask_chat(provider, x);
  http->answer(0, 429, rate_limited, {{"retry-after", "3600"}});
  run();
  REQUIRE(answer->error);
  CHECK(answer->error->code == errc::rate_limited);
  CHECK(answer->error->retry_after == 3600s);
  CHECK(answer->error->message.find("60 min") != std::string::npos);
  auto next = question(2);
  next.deadline = 30s;
  auto refused = ask_chat(provider, next); // it would wait as long
  REQUIRE(refused->error);
  CHECK(refused->error->code == errc::deadline_exceeded);
  CHECK(refused->error->retry_after == 3600s);
  CHECK(status(provider).refusals.at("predicted_wait") == 1);
}

TEST_CASE_METHOD(provider_test, "a request that may have run is sent again only where settings allow",
                 "[actors][retry]") {
  settings.retry.retry_uncertain = false;
  auto provider = spawn();
  SECTION("after its last byte: never") {
    auto answer = ask_chat(provider, question(1));
    http->fail(0, errc::connection_lost, true);
    run();
    REQUIRE(answer->error);
    CHECK(answer->error->code == errc::outcome_unknown);
  }
  SECTION("before it: always") {
    auto answer = ask_chat(provider, question(1));
    http->fail(0, errc::connection_lost, false);
    run();
    CHECK(answer->pending());
  }
}

TEST_CASE_METHOD(provider_test, "requests leave at the pace that the limit allows", "[actors][limits]") {
  runtime.state_folder = "none";
  settings.max_concurrent = 100;
  settings.rate_limit.requests_per_minute = 60;
  settings.rate_limit.burst = 5;
  auto provider = spawn();
  for (uint64_t i = 1; i <= 100; ++i)
    ask_chat(provider, question(i));
  CHECK(http->pending() == 5);
  for (std::size_t i = 0; i < http->pending(); ++i)
    http->write(i);
  advance(10s);
  CHECK(http->pending() == 15);
  auto x = status(provider);
  CHECK(x.lanes.at(0).limits.at(0) == limit_use{"requests", 60, 15});
  CHECK(x.queued == 85);
  CHECK(x.predicted_wait > 60s);
  advance(49s);
  CHECK(http->pending() == 60);
  advance(1s + 49ms); // the first five were written at once, and live for the window and its guard
  CHECK(http->pending() == 60);
  advance(2ms); // whole milliseconds, rounded up
  CHECK(http->pending() == 65);
}

TEST_CASE_METHOD(provider_test, "a request that no window can hold is refused by name", "[actors][limits]") {
  runtime.state_folder = "none";
  settings.rate_limit.tokens_per_minute = 1000;
  auto x = question(1);
  x.sampling.max_tokens = 2000;
  auto refused = ask_chat(spawn(), x);
  REQUIRE(refused->error);
  CHECK(refused->error->code == errc::too_large);
  CHECK(refused->error->message.find("1000") != std::string::npos);
  CHECK(http->pending() == 0);
}

TEST_CASE_METHOD(provider_test, "a prompt that is only guessed to be too large is sent", "[actors][limits]") {
  runtime.state_folder = "none";
  settings.rate_limit.tokens_per_minute = 10'000;
  std::string words;
  for (int i = 0; i < 7900; ++i)
    words += "word ";
  auto provider = spawn();
  auto answer = ask_chat(provider, question(1, words)); // estimated at half as much again
  REQUIRE(http->pending() == 1);
  say(0, "hello");
  CHECK(answer->value);
  std::string many;
  for (int i = 0; i < 10; ++i)
    many += words;
  auto refused = ask_chat(provider, question(2, many)); // this one is
  REQUIRE(refused->error);
  CHECK(refused->error->code == errc::too_large);
}

TEST_CASE_METHOD(provider_test, "answers longer than a minute's limit shut no model off", "[actors][limits]") {
  runtime.state_folder = "none";
  settings.kind = provider_kind::anthropic;
  settings.base_url = "http://acme.test";
  settings.rate_limit.output_tokens_per_minute = 500; // below the first guess, too
  auto provider = spawn();
  auto say_long = [&](int tokens) {
    REQUIRE(http->pending() == 1);
    http->answer(0, 200,
                 R"({"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"x"}],)"
                 R"("stop_reason":"end_turn","usage":{"input_tokens":10,"output_tokens":)"
                   + std::to_string(tokens) + "}}");
    run();
  };
  auto first = ask_chat(provider, question(1));
  say_long(9000);
  CHECK(first->value);
  auto second = ask_chat(provider, question(2));
  CHECK(http->pending() == 0);
  advance(61s);
  say_long(50);
  CHECK(second->value);
  auto third = ask_chat(provider, question(3));
  say_long(50); // at once
  CHECK(third->value);
}

TEST_CASE_METHOD(provider_test, "limits that answers tell are those of the model that was asked", "[actors][limits]") {
  runtime.state_folder = "none";
  auto provider = spawn();
  auto first = question(1);
  first.model = "small";
  ask_chat(provider, first);
  REQUIRE(http->pending() == 1);
  http->answer(0, 200,
               R"({"id":"x","object":"chat.completion","model":"small","choices":[{"index":0,"message":)"
               R"({"role":"assistant","content":"hi"},"finish_reason":"stop"}]})",
               {{"x-ratelimit-limit-tokens", "1000"}, {"x-ratelimit-remaining-tokens", "990"}});
  run();
  auto x = status(provider);
  REQUIRE(x.lanes.at(0).limits.size() == 1);
  CHECK(x.lanes.at(0).limits.at(0).of == "tokens of small");
  CHECK(x.lanes.at(0).limits.at(0).limit == 1000);
  auto second = question(2, std::string(30'000, 'x'));
  second.model = "large";
  ask_chat(provider, second);
  CHECK(http->pending() == 1);
  advance(181s);
  CHECK(status(provider).lanes.at(0).limits.empty()); // nothing has confirmed it
}

TEST_CASE_METHOD(provider_test, "limits outlive the process", "[actors][limits]") {
  test::temporary_folder folder;
  runtime.state_folder = folder.path("state");
  settings.max_concurrent = 100;
  settings.rate_limit.requests_per_minute = 60;
  settings.rate_limit.burst = 60;
  auto provider = spawn();
  for (uint64_t i = 1; i <= 40; ++i)
    ask_chat(provider, question(i));
  for (std::size_t i = 0; i < 40; ++i)
    http->write(i);
  for (std::size_t i = 0; i < 40; ++i)
    say(0, "x");
  caf::anon_send_exit(provider, caf::exit_reason::user_shutdown);
  run();
  auto next = spawn();
  auto used = status(next).lanes.at(0).limits.at(0).used;
  CHECK(used == 40); // an orderly end leaves nothing open
  for (uint64_t i = 1; i <= 40; ++i)
    ask_chat(next, question(i));
  CHECK(http->pending() == 20);
}

TEST_CASE_METHOD(provider_test, "a folder that cannot be written is refused, and a second process told",
                 "[actors][limits]") {
  test::temporary_folder folder;
  settings.rate_limit.requests_per_minute = 60;
  runtime.state_folder = folder.write("file", "") + "/state";
  auto problem = spawn_provider(system(), settings, runtime, http);
  REQUIRE(std::holds_alternative<failure>(problem));
  CHECK(std::get<failure>(problem).code == errc::configuration);
  CHECK(std::get<failure>(problem).suggestion.find("state_folder") != std::string::npos);
  runtime.state_folder = folder.path("state");
  auto first = spawn();
  auto second = spawn();
  CHECK(status(first).problem.empty());
  CHECK(status(second).problem.find("another process") != std::string::npos);
  kill(caf::actor_cast<caf::actor>(first)); // another program may have been there for a moment
  ask_chat(second, question(1));
  CHECK(http->pending() == 1);
  CHECK(status(second).problem.empty());
}

TEST_CASE_METHOD(provider_test, "what a dead caller asked for stops wherever it stands", "[actors][cancel]") {
  settings.max_concurrent = 1;
  settings.interactive_slots = 0;
  auto provider = spawn();
  auto outcome = std::make_shared<test::outcome<completion>>();
  SECTION("in flight") {
    auto caller = ask_and_hold(outcome, provider, question(1));
    REQUIRE(http->pending() == 1);
    kill(caller);
    CHECK(http->cancelled.size() == 1);
  }
  SECTION("queued") {
    auto running = ask_chat(provider, question(1));
    auto caller = ask_and_hold(outcome, provider, question(2));
    CHECK(status(provider).queued == 1);
    kill(caller);
    CHECK(status(provider).queued == 0);
    CHECK(status(provider).queued_bytes == 0);
    say(0, "one");
    CHECK(running->value);
  }
  SECTION("waiting for its next attempt") {
    auto caller = ask_and_hold(outcome, provider, question(1));
    http->answer(0, 500, broken);
    run();
    CHECK(status(provider).waiting == 1);
    CHECK(status(provider).next_retry);
    kill(caller);
    CHECK(status(provider).waiting == 0);
  }
  CHECK(http->pending() == 0);
  CHECK(status(provider).in_flight == 0);
  CHECK(status(provider).lanes.at(0).in_flight == 0);
  advance(100s);
  CHECK(http->pending() == 0);
  auto next = ask_chat(provider, question(9)); // and the slot is free
  REQUIRE(http->pending() == 1);
  say(0, "nine");
  CHECK(next->value);
}

TEST_CASE_METHOD(provider_test, "a dead caller takes nobody else's requests along", "[actors][cancel]") {
  auto provider = spawn();
  auto mine = std::make_shared<test::outcome<completion>>();
  auto caller = ask_and_hold(mine, provider, question(1));
  auto other = ask_chat(provider, question(2));
  kill(caller);
  REQUIRE(http->pending() == 1);
  say(0, "two");
  CHECK(other->value);
}

TEST_CASE_METHOD(provider_test, "an answer that comes after its deadline is counted, not delivered",
                 "[actors][cancel]") {
  auto provider = spawn();
  auto x = question(1);
  x.deadline = 1s;
  auto answer = ask_chat(provider, x);
  http->ignore_cancel = true; // the answer was on its way when the transfer was to be aborted
  advance(1s);
  REQUIRE(answer->error);
  CHECK(answer->error->code == errc::deadline_exceeded);
  CHECK(status(provider).late == 0);
  say(0, "too late");
  CHECK(status(provider).late == 1);
  CHECK(status(provider).answered == 0);
}

TEST_CASE_METHOD(provider_test, "with several keys a refused one is left alone, and the request goes on",
                 "[actors][keys]") {
  setenv("MODELFORGE_TEST_KEY_1", "first-key", 1);
  setenv("MODELFORGE_TEST_KEY_2", "second-key", 1);
  settings.keys = {{"one", "MODELFORGE_TEST_KEY_1", ""}, {"two", "MODELFORGE_TEST_KEY_2", ""}};
  auto provider = spawn();
  auto answer = ask_chat(provider, question(1));
  CHECK(header(http->at(0).request, "authorization") == "Bearer first-key");
  http->answer(0, 429, R"({"error":{"message":"quota","type":"insufficient_quota","code":"insufficient_quota"}})");
  run();
  REQUIRE(http->pending() == 1);
  CHECK(header(http->at(0).request, "authorization") == "Bearer second-key");
  say(0, "hello");
  REQUIRE(answer->value);
  CHECK(answer->value->attempts[0].lane == "one");
  CHECK(answer->value->attempts[1].lane == "two");
  auto x = status(provider);
  CHECK(x.lanes.at(0).out);
  CHECK_FALSE(x.lanes.at(1).out);
  ask_chat(provider, question(2));
  CHECK(header(http->at(0).request, "authorization") == "Bearer second-key");
}

TEST_CASE_METHOD(provider_test, "models with limits of their own have a lane of their own", "[actors][limits]") {
  runtime.state_folder = "none";
  settings.rate_limit.requests_per_minute = 60;
  settings.rate_limit.burst = 1;
  settings.models.push_back({"small-*", {}});
  settings.models.push_back({"cheap-*", {}, {.input = 1}});
  settings.models[0].rate_limit.requests_per_minute = 600;
  auto provider = spawn();
  ask_chat(provider, question(1));
  ask_chat(provider, question(2));
  CHECK(http->pending() == 1);
  auto x = question(3);
  x.model = "cheap-1"; // shares the provider's
  ask_chat(provider, x);
  CHECK(http->pending() == 1);
  x = question(4);
  x.model = "small-1";
  ask_chat(provider, x);
  CHECK(http->pending() == 2);
  CHECK(status(provider).lanes.size() == 2);
  CHECK(status(provider).lanes.at(1).name == "default/small-*");
  CHECK(status(provider).lanes.at(1).in_flight == 1);
}

TEST_CASE_METHOD(provider_test, "while the provider is down, requests end at once and one at a time tries it",
                 "[actors][breaker]") {
  settings.max_concurrent = 20;
  settings.retry.max_attempts = 1;
  auto provider = spawn();
  for (uint64_t i = 1; i <= 5; ++i) {
    auto answer = ask_chat(provider, question(i));
    http->answer(0, 500, broken);
    run();
    CHECK(answer->error->code == errc::server_error);
  }
  auto refused = ask_chat(provider, question(6));
  REQUIRE(refused->error);
  CHECK(refused->error->code == errc::circuit_open);
  CHECK(refused->error->retry_after == 10s);
  auto item = question(7);
  item.priority = priority::batch;
  auto waiting = ask_chat(provider, item); // batch items wait
  CHECK(waiting->pending());
  CHECK(status(provider).lanes.at(0).breaker == "open");
  CHECK(status(provider).problem.find("500") != std::string::npos); // says why they wait
  advance(10s);
  REQUIRE(http->pending() == 1);
  CHECK(status(provider).lanes.at(0).breaker == "half_open");
  CHECK(ask_chat(provider, question(8))->error->code == errc::circuit_open);
  say(0, "back");
  CHECK(waiting->value);
  CHECK(status(provider).lanes.at(0).breaker == "closed");
  CHECK(status(provider).problem.empty());
  ask_chat(provider, question(9));
  CHECK(http->pending() == 1);
}

} // namespace modelforge::provider_retry_test
