#include "tests/actors/proxy_fixture.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <string>

namespace modelforge::provider_proxy_test {

TEST_CASE_METHOD(proxy_test, "a call that was lost with its owner tells the next one what is spent", "[node]") {
  begin();
  owner_script first, second, third;
  auto one = connect(first);
  auto answer = chat();
  REQUIRE(first.chats.size() == 1);
  auto& asked = first.chats[0].request;
  CHECK(asked.earlier.spent == 0);
  CHECK(asked.earlier.report);
  advance(2s);
  end(one);
  CHECK(looks == 1);
  advance(3s);
  auto two = connect(second);
  REQUIRE(second.chats.size() == 1);
  auto earlier = second.chats[0].request.earlier;
  CHECK(earlier.spent == 1);
  CHECK(earlier.age == 5s);
  REQUIRE(earlier.records.size() == 1);
  CHECK(earlier.records[0].number == 1);
  CHECK(earlier.records[0].result == errc::node_lost);
  CHECK(earlier.records[0].started == 0s);
  CHECK(earlier.records[0].duration == 2s);
  end(two);
  connect(third);
  REQUIRE(third.chats.size() == 1);
  CHECK(third.chats[0].request.earlier.spent == 2);
  reply_with(third, third.chats[0].reply, completion{});
  CHECK(answer->value);
}

TEST_CASE_METHOD(proxy_test, "attempts that were made before a call came here count", "[node]") {
  begin();
  owner_script first, second;
  auto one = connect(first);
  chat_request asked;
  asked.earlier = {2, 3s, {record_of(1, errc::server_error), record_of(2, errc::server_error)}, false};
  auto answer = ask<completion>(proxy.actor, asked);
  REQUIRE(first.chats.size() == 1);
  CHECK(first.chats[0].request.earlier.spent == 2);
  CHECK(first.chats[0].request.earlier.records.size() == 2);
  end(one); // with the third
  REQUIRE(answer->error);
  CHECK(answer->error->code == errc::node_lost);
  CHECK(answer->error->attempts.size() == 3);
  connect(second);
  CHECK(second.chats.empty());
  asked.earlier.spent = 3;
  CHECK(ask<completion>(proxy.actor, asked)->error);
  CHECK(second.chats.empty());
}

TEST_CASE_METHOD(proxy_test, "attempts that a lost owner reported count, with their records", "[node]") {
  begin();
  owner_script first, second;
  auto one = connect(first);
  auto answer = chat(priority::interactive, {1, 2});
  auto report = [&](const provider_actor& from, uint32_t spent) {
    attempts_made made{spent, 1s, {}, false};
    for (uint32_t i = 1; i <= spent; ++i)
      made.records.push_back(record_of(i, errc::server_error));
    caf::send_as(from, proxy.actor, request_id{1, 2}, made);
    run();
  };
  SECTION("one of them") {
    report(one, 1);
    end(one);
    connect(second);
    REQUIRE(second.chats.size() == 1);
    auto& earlier = second.chats[0].request.earlier;
    CHECK(earlier.spent == 2); // the one under way, too
    REQUIRE(earlier.records.size() == 2);
    CHECK(earlier.records[0] == record_of(1, errc::server_error));
    CHECK(earlier.records[1].result == errc::node_lost);
  }
  SECTION("so that none is left") {
    report(one, 2);
    end(one);
    REQUIRE(answer->error);
    CHECK(answer->error->code == errc::node_lost);
    CHECK(answer->error->attempts.size() == 3);
    CHECK(answer->error->message.find("no attempt is left") != std::string::npos);
    connect(second);
    CHECK(second.chats.empty());
  }
  SECTION("but not those that a stranger reports") {
    report(hold(system().spawn(owner_actor, &second)), 2);
    end(one);
    CHECK(answer->pending());
  }
}

TEST_CASE_METHOD(chain_test, "no break of a link has a provider asked more often than max_attempts", "[node]") {
  begin();
  auto answer = ask<completion>(proxy.actor, question(1));
  SECTION("that is seen on both sides") {
    fail_attempt();
    cut_there();
    cut_here();
    REQUIRE(answer->error);
    link();
  }
  SECTION("that is seen here first") {
    cut_here();
    fail_attempt(); // of which nobody hears
    cut_there();
    link();
    REQUIRE(answer->error);
  }
  SECTION("that is seen there first") {
    fail_attempt();
    CHECK(attempt_header() == "2");
    cut_there();
    REQUIRE(answer->error);
    cut_here();
    link();
  }
  CHECK(answer->error->code == errc::node_lost);
  CHECK(answer->error->attempts.size() == 2);
  CHECK(http->sent_bodies.size() == 2);
  CHECK(http->pending() == 0);
}

TEST_CASE_METHOD(chain_test, "an answer after a break of the link tells the attempts before it", "[node]") {
  begin();
  auto answer = ask<completion>(proxy.actor, question(1));
  CHECK(attempt_header() == "1");
  advance(2s);
  cut_there();
  cut_here();
  advance(1s);
  link();
  REQUIRE(http->pending() == 1);
  CHECK(attempt_header() == "2");
  say(0, "hello");
  REQUIRE(answer->value);
  auto& attempts = answer->value->attempts;
  REQUIRE(attempts.size() == 2);
  CHECK(attempts[0].result == errc::node_lost);
  CHECK(attempts[0].duration == 2s);
  CHECK(attempts[1].started == 3s);
  CHECK(answer->value->timings.total == 3s);
}

TEST_CASE_METHOD(chain_test, "what an owner drains goes to its successor, and is tried once", "[node]") {
  begin();
  auto running = ask<completion>(proxy.actor, question(1));
  auto drained = ask_void(owner, drain_atom_v, caf::timespan{10s});
  auto late = ask<completion>(proxy.actor, question(2));
  CHECK(late->pending());
  say(0, "hello");
  CHECK(running->value);
  CHECK(drained->value);
  kill(caf::actor_cast<caf::actor>(owner));
  owner = spawn();
  link();
  REQUIRE(http->pending() == 1);
  CHECK(attempt_header() == "1");
  say(0, "hello");
  REQUIRE(late->value);
  CHECK(late->value->attempts.size() == 1);
}

TEST_CASE_METHOD(proxy_test, "what an owner cuts off at its end is sent again, if that may be", "[node]") {
  for (auto again : {true, false}) {
    provider.retry.retry_uncertain = again;
    begin();
    owner_script first, second;
    connect(first);
    auto queued = chat();
    auto sent = chat();
    REQUIRE(first.chats.size() == 2);
    reply_with(first, first.chats[0].reply, error_of(errc::cancelled));
    reply_with(first, first.chats[1].reply, error_of(errc::cancelled, {record_of(1, errc::cancelled)}));
    connect(second);
    CHECK(second.chats.size() == (again ? 2 : 1));
    CHECK(second.chats[0].request.earlier.spent == 0);
    CHECK(queued->pending());
    if (again) {
      CHECK(second.chats[1].request.earlier.spent == 1);
      CHECK(second.chats[1].request.earlier.records[0].lane == "key");
    } else {
      REQUIRE(sent->error);
      CHECK(sent->error->code == errc::outcome_unknown);
    }
    kill(caf::actor_cast<caf::actor>(proxy.actor));
  }
}

TEST_CASE_METHOD(proxy_test, "a call that its owner has still, from a link that broke, is sent again later", "[node]") {
  begin();
  owner_script first, second;
  auto one = connect(first);
  auto answer = chat();
  end(one);
  connect(second);
  REQUIRE(second.chats.size() == 1);
  reply_with(second, second.chats[0].reply, error_of(errc::duplicate_request));
  CHECK(answer->pending());
  advance(1s);
  REQUIRE(second.chats.size() == 2);
  reply_with(second, second.chats[1].reply, completion{});
  CHECK(answer->value);
}

TEST_CASE_METHOD(proxy_test, "calls wait out a relink, batch items whatever it takes", "[node]") {
  begin();
  owner_script first, second;
  auto one = connect(first);
  auto sent = chat();
  end(one);
  proxy.disconnect({"the link broke"});
  run();
  auto item = chat(priority::batch);
  auto fresh = chat();
  advance(11s); // as long as a link needs of which the other side saw the break last
  CHECK(sent->pending());
  CHECK(fresh->pending());
  SECTION("that comes about") {
    connect(second);
    CHECK(second.chats.size() == 3);
  }
  SECTION("that does not") {
    advance(5s);
    CHECK(sent->error);
    CHECK(fresh->error);
    CHECK(chat()->error);
    auto later = chat(priority::batch);
    advance(24h);
    CHECK(item->pending());
    connect(second);
    CHECK(second.chats.size() == 2);
    CHECK(later->pending());
  }
}

} // namespace modelforge::provider_proxy_test
