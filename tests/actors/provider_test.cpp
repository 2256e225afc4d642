#include "tests/actors/provider_fixture.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cstdlib>

namespace modelforge::provider_test {

using namespace std::chrono_literals;

using test::provider_test;

TEST_CASE_METHOD(provider_test, "a request that nobody waits for ends like others", "[actors]") {
  auto provider = spawn();
  tell(provider, question(1)); // without a sender
  auto answer = ask_chat(provider, question(2));
  REQUIRE(http->pending() == 2);
  say(0, "to nobody");
  say(0, "to somebody");
  CHECK(answer->value);
  CHECK(status(provider).answered == 2);
}

TEST_CASE_METHOD(provider_test, "provider answers with the completion and tells how it came to it", "[actors]") {
  auto provider = spawn();
  auto answer = ask_chat(provider, question(7));
  REQUIRE(http->pending() == 1);
  auto& sent = http->at(0).request;
  CHECK(sent.url == "http://acme.test/v1/chat/completions");
  CHECK(std::count(sent.headers.begin(), sent.headers.end(), http::header{"x-modelforge-attempt", "1"}) == 1);
  CHECK(std::count(sent.headers.begin(), sent.headers.end(),
                   http::header{"x-modelforge-request", "00000000000000010000000000000007"})
        == 1);
  advance(40ms);
  say(0, "hello");
  REQUIRE(answer->value);
  auto& x = *answer->value;
  CHECK(x.id == request_id{1, 7});
  CHECK(x.text == "hello");
  CHECK(x.provider == "acme");
  CHECK(x.model == "m-1");
  CHECK(x.provider_request_id == "req_1");
  CHECK(x.usage->input == 7);
  REQUIRE(x.attempts.size() == 1);
  CHECK(x.attempts[0].http_status == 200);
  CHECK(x.attempts[0].duration == 40ms);
  CHECK(x.attempts[0].waited_for == wait_reason::nothing);
  CHECK(x.timings.total == 40ms);
}

TEST_CASE_METHOD(provider_test, "provider keeps the number in flight and records what waited", "[actors]") {
  auto provider = spawn();
  auto first = ask_chat(provider, question(1));
  auto second = ask_chat(provider, question(2));
  auto third = ask_chat(provider, question(3));
  CHECK(http->pending() == 2);
  CHECK(status(provider).queued == 1);
  advance(1s);
  say(0, "one");
  CHECK(first->value);
  CHECK(http->pending() == 2);
  say(1, "three");
  REQUIRE(third->value);
  CHECK(third->value->attempts[0].waited_for == wait_reason::slot);
  CHECK(third->value->attempts[0].waited == 1s);
  CHECK(second->pending());
}

TEST_CASE_METHOD(provider_test, "provider keeps a slot free of batch items for interactive requests", "[actors]") {
  auto provider = spawn();
  for (uint64_t i : {1, 2, 3}) {
    auto x = question(i);
    x.priority = priority::batch;
    ask_chat(provider, std::move(x));
  }
  CHECK(http->pending() == 1);
  ask_chat(provider, question(4));
  CHECK(http->pending() == 2);
}

TEST_CASE_METHOD(provider_test, "provider refuses what does not fit its queue, and says so", "[actors]") {
  settings.max_concurrent = 1;
  settings.interactive_slots = 0;
  runtime.max_queued = 1;
  auto provider = spawn();
  ask_chat(provider, question(1));
  ask_chat(provider, question(2));
  auto refused = ask_chat(provider, question(3));
  REQUIRE(refused->error);
  CHECK(refused->error->code == errc::queue_full);
  CHECK(refused->error->provider == "acme");
  CHECK(refused->error->attempts.empty());
  CHECK(status(provider).failed == 1);
}

TEST_CASE_METHOD(provider_test, "provider refuses a second request with a living id", "[actors]") {
  auto provider = spawn();
  auto first = ask_chat(provider, question(1));
  CHECK(ask_chat(provider, question(1))->error->code == errc::duplicate_request);
  say(0, "one");
  CHECK(first->value);
  ask_chat(provider, question(1));
  CHECK(http->pending() == 1);
}

TEST_CASE_METHOD(provider_test, "provider refuses a request that no model is named for", "[actors]") {
  settings.default_model.clear();
  auto refused = ask_chat(spawn(), question(1));
  CHECK(refused->error->code == errc::invalid_request);
  CHECK(http->pending() == 0);
}

TEST_CASE_METHOD(provider_test, "provider ends a request at its deadline, in flight or queued", "[actors]") {
  settings.max_concurrent = 1;
  settings.interactive_slots = 0;
  auto provider = spawn();
  auto in_flight = question(1);
  in_flight.deadline = 2s;
  auto queued = question(2);
  queued.deadline = 1s;
  auto first = ask_chat(provider, std::move(in_flight));
  auto second = ask_chat(provider, std::move(queued));
  advance(999ms);
  CHECK(second->pending());
  advance(1ms);
  REQUIRE(second->error);
  CHECK(second->error->code == errc::deadline_exceeded);
  CHECK(second->error->attempts.empty());
  advance(1s);
  REQUIRE(first->error);
  CHECK(first->error->code == errc::deadline_exceeded);
  CHECK(first->error->attempts.size() == 1);
  CHECK(http->cancelled.size() == 1);
  CHECK(status(provider).in_flight == 0);
}

TEST_CASE_METHOD(provider_test, "provider gives interactive requests the configured deadline, batch items none",
                 "[actors]") {
  settings.deadline = 5s;
  auto provider = spawn();
  auto item = question(2);
  item.priority = priority::batch;
  auto interactive = ask_chat(provider, question(1));
  auto batch = ask_chat(provider, std::move(item));
  advance(24h);
  CHECK(interactive->error);
  CHECK(batch->pending());
}

TEST_CASE_METHOD(provider_test, "cancelling frees the slot and answers the asker once", "[actors]") {
  settings.max_concurrent = 1;
  settings.interactive_slots = 0;
  auto provider = spawn();
  auto in_flight = ask_chat(provider, question(1));
  auto queued = ask_chat(provider, question(2));
  auto last = ask_chat(provider, question(3));
  tell(provider, cancel_atom_v, request_id{1, 2});
  CHECK(queued->error->code == errc::cancelled);
  tell(provider, cancel_atom_v, request_id{1, 1});
  CHECK(in_flight->error->code == errc::cancelled);
  CHECK(http->cancelled == std::vector<http::transfer_id>{1});
  REQUIRE(http->pending() == 1);
  say(0, "three");
  CHECK(last->value->text == "three");
  tell(provider, cancel_atom_v, request_id{9, 9}); // unknown: no error
  CHECK(status(provider).answered == 1);
}

TEST_CASE_METHOD(provider_test, "a failed transfer becomes an error with its attempt and a suggestion", "[actors]") {
  settings.retry.max_attempts = 1;
  auto answer = ask_chat(spawn(), question(1));
  http->fail(0, errc::connect_failed);
  run();
  REQUIRE(answer->error);
  CHECK(answer->error->code == errc::connect_failed);
  CHECK(answer->error->model == "m");
  CHECK(answer->error->lane == "default");
  CHECK(answer->error->attempts.at(0).result == errc::connect_failed);
  CHECK_FALSE(answer->error->suggestion.empty());
}

TEST_CASE_METHOD(provider_test, "an error of the provider reaches the asker without any key in it", "[actors]") {
  auto answer = ask_chat(spawn(), question(1));
  http->answer(0, 401,
               R"({"error":{"message":"Incorrect API key provided: sk-proj-abcdefghijklmnop1234.",)"
               R"("type":"invalid_request_error","code":"invalid_api_key"}})");
  run();
  REQUIRE(answer->error);
  CHECK(answer->error->code == errc::authentication);
  CHECK(answer->error->http_status == 401);
  CHECK(answer->error->provider_code == "invalid_api_key");
  CHECK(answer->error->provider_message.find("Incorrect API key") != std::string::npos);
  CHECK(to_string(*answer->error).find("abcdefghijklmnop") == std::string::npos);
}

TEST_CASE_METHOD(provider_test, "a draining provider finishes what it has and takes nothing new", "[actors]") {
  auto provider = spawn();
  auto running = ask_chat(provider, question(1));
  auto drained = ask_void(provider, drain_atom_v, caf::timespan{10s});
  CHECK(drained->pending());
  CHECK(ask_chat(provider, question(2))->error->code == errc::draining);
  say(0, "one");
  CHECK(running->value);
  CHECK(drained->value);
}

TEST_CASE_METHOD(provider_test, "draining ends after the grace period, whatever still runs", "[actors]") {
  auto provider = spawn();
  auto running = ask_chat(provider, question(1));
  auto drained = ask_void(provider, drain_atom_v, caf::timespan{10s});
  advance(9999ms);
  CHECK(drained->pending());
  advance(1ms);
  CHECK(drained->value);
  CHECK(running->error->code == errc::cancelled);
  CHECK(http->pending() == 0);
}

TEST_CASE_METHOD(provider_test, "an ended provider aborts its transfers and leaves no asker waiting", "[actors]") {
  auto provider = spawn();
  auto running = ask_chat(provider, question(1));
  caf::anon_send_exit(provider, caf::exit_reason::user_shutdown);
  run();
  CHECK(running->error);
  CHECK(http->cancelled.size() == 1);
}

TEST_CASE_METHOD(provider_test, "a provider keeps one timer, however many requests it has", "[actors]") {
  settings.max_concurrent = 1000;
  auto provider = spawn();
  for (uint64_t i = 1; i <= 500; ++i)
    ask_chat(provider, question(i));
  CHECK(timers() == 1);
  for (uint64_t i = 1; i <= 500; ++i)
    say(0, "x");
  CHECK(status(provider).answered == 500);
  advance(300s);
  CHECK(timers() == 0);
}

TEST_CASE_METHOD(provider_test, "short deadlines beside a long one leave no timers behind", "[actors]") {
  auto provider = spawn();
  ask_chat(provider, question(1));
  for (uint64_t i = 2; i < 200; ++i) {
    auto x = question(i);
    x.deadline = 100ms;
    auto answer = ask_chat(provider, std::move(x));
    say(1, "x");
    REQUIRE(answer->value);
    advance(150ms);
  }
  CHECK(timers() <= 2);
}

TEST_CASE_METHOD(provider_test, "requests that expire together are not sent one after the other", "[actors]") {
  settings.max_concurrent = 1;
  settings.interactive_slots = 0;
  auto provider = spawn();
  std::vector<std::shared_ptr<test::outcome<completion>>> answers;
  for (uint64_t i = 1; i <= 20; ++i) {
    auto x = question(i);
    x.deadline = 1s;
    answers.push_back(ask_chat(provider, std::move(x)));
  }
  SECTION("at their deadline") {
    advance(1s);
    CHECK(answers.back()->error->code == errc::deadline_exceeded);
  }
  SECTION("at the end of a drain's grace period") {
    tell(provider, drain_atom_v, caf::timespan{500ms});
    advance(500ms);
    CHECK(answers.back()->error->code == errc::cancelled);
  }
  for (auto& x : answers)
    CHECK(x->error);
  CHECK(answers.back()->error->attempts.empty());
  CHECK(http->sent_bodies.size() == 1);
}

TEST_CASE_METHOD(provider_test, "a request that can never be queued is refused as too large", "[actors]") {
  runtime.max_queued_bytes = 1000;
  auto refused = ask_chat(spawn(), question(1, std::string(2000, 'x')));
  CHECK(refused->error->code == errc::too_large);
  CHECK(refused->error->message.find("max_queued_bytes") != std::string::npos);
}

TEST_CASE_METHOD(provider_test, "times without end are no error", "[actors]") {
  auto provider = spawn();
  auto x = question(1);
  x.deadline = std::chrono::nanoseconds::max();
  auto answer = ask_chat(provider, std::move(x));
  auto drained = ask_void(provider, drain_atom_v, caf::timespan::max());
  advance(1h);
  CHECK(answer->pending());
  CHECK(drained->pending());
  say(0, "late");
  CHECK(answer->value);
  CHECK(drained->value);
}

TEST_CASE_METHOD(provider_test, "a provider that cannot work is not spawned", "[actors]") {
  auto problem = [&] { return std::get<failure>(spawn_provider(system(), settings, runtime, http)); };
  SECTION("for want of its key") {
    settings.keys.push_back({"key1", "MODELFORGE_TEST_KEY_THAT_IS_NOT_SET", ""});
    CHECK(problem().message.find("MODELFORGE_TEST_KEY_THAT_IS_NOT_SET") != std::string::npos);
  }
  SECTION("for want of a header's value") {
    settings.headers.push_back({"x-team", "", "MODELFORGE_TEST_HEADER_THAT_IS_NOT_SET"});
    CHECK(problem().message.find("MODELFORGE_TEST_HEADER_THAT_IS_NOT_SET") != std::string::npos);
  }
  SECTION("because batch items could never be sent") {
    settings.max_concurrent = settings.interactive_slots = 1;
    CHECK(problem().message.find("interactive_slots") != std::string::npos);
  }
  SECTION("for want of an address") {
    settings.kind = provider_kind::openai_compatible;
    settings.base_url.clear();
    CHECK(problem().message.find("base_url") != std::string::npos);
  }
  SECTION("for want of an API") {
    settings.kind = provider_kind::gemini;
    settings.models.push_back({"a*", {}, {}, model_api::responses});
    CHECK(problem().message.find("Responses API") != std::string::npos);
  }
  CHECK(problem().code == errc::configuration);
}

TEST_CASE_METHOD(provider_test, "a provider that nobody holds ends, though its requests had deadlines", "[actors]") {
  auto provider = std::get<provider_actor>(spawn_provider(system(), settings, runtime, http));
  auto answer = ask_chat(provider, question(1));
  say(0, "one");
  REQUIRE(answer->value);
  auto weak = caf::actor_cast<caf::weak_actor_ptr>(provider);
  provider = nullptr;
  run();
  CHECK_FALSE(caf::actor_cast<caf::strong_actor_ptr>(weak));
}

} // namespace modelforge::provider_test
