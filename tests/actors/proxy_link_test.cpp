#include "tests/actors/proxy_fixture.hpp"
#include "tests/support/collected_log.hpp"

#include <modelforge/log/start_log.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace modelforge::provider_proxy_test {

TEST_CASE_METHOD(proxy_test, "large requests wait for room on the link, small questions do not", "[node]") {
  begin();
  auto gate = std::make_shared<node::shared_gate>(4'000'000);
  owner_script script;
  connect(script, gate);
  std::vector<std::shared_ptr<test::outcome<completion>>> answers;
  for (int i = 0; i < 20; ++i)
    answers.push_back(large_chat(900'000));
  CHECK(script.chats.size() == 4);
  CHECK(gate->on_the_way() <= 4'000'000);
  CHECK(ask<model_list>(proxy.actor, models_atom_v)->value);
  SECTION("until the owner tells what has arrived") {
    acknowledge(script, 1);
    CHECK(script.chats.size() == 5);
    acknowledge(script, 3);
    CHECK(script.chats.size() == 8);
    acknowledge(script, UINT64_MAX); // whatever it says
    CHECK(script.chats.size() == 12);
  }
  SECTION("or answers") {
    reply_with(script, script.chats[2].reply, completion{}); // the first three have arrived
    CHECK(script.chats.size() == 7);
    reply_with(script, script.chats[0].reply, error_of(errc::server_error));
    CHECK(script.chats.size() == 7);
  }
  SECTION("until their deadline") {
    auto late = large_chat(100, 10s);
    advance(10s);
    REQUIRE(late->error);
    CHECK(late->error->code == errc::deadline_exceeded);
    CHECK(late->error->message.find("a link that has more to carry than it can") != std::string::npos);
    CHECK(late->error->attempts.empty());
    CHECK(script.chats.size() == 4);
  }
  SECTION("until the link is lost, which frees it") {
    owner_script second;
    proxy.disconnect({"cut"});
    run();
    CHECK(gate->on_the_way() == 0);
    connect(second, gate);
    CHECK(second.chats.size() == 4);
    CHECK(second.chats[0].request.earlier.spent == 1);
  }
  SECTION("or the owner's actor is") {
    end(script.actor);
    CHECK(gate->on_the_way() == 0);
  }
  SECTION("and other proxies have their turn") {
    auto other = spawn_provider_proxy(system(), provider, node, [] {});
    hold(other.actor);
    owner_script theirs;
    theirs.actor = hold(system().spawn(owner_actor, &theirs));
    other.connect({theirs.actor, gate});
    run();
    chat_request large;
    large.messages.push_back(text_message(role::user, std::string(900'000, 'y')));
    auto answer = ask<completion>(other.actor, large);
    CHECK(theirs.chats.empty());
    acknowledge(script, 1);
    CHECK(theirs.chats.size() == 1);
    CHECK(script.chats.size() == 4);
    acknowledge(script, 1);
    CHECK(script.chats.size() == 5);
  }
  CHECK(gate->on_the_way() <= 4'000'000);
}

TEST_CASE_METHOD(proxy_test, "a flood waits at its host, not in the mailbox of a provider that takes its time",
                 "[node]") {
  begin();
  auto gate = std::make_shared<node::shared_gate>(4'000'000);
  owner_script script;
  script.actor = hold(system().spawn(owner_actor, &script));
  auto peer = hold(system().spawn([](caf::event_based_actor*) -> caf::behavior { return {[](int) {}}; }));
  proxy.connect(
    {spawn_provider_guest(system(), script.actor, "near", caf::actor_cast<caf::strong_actor_ptr>(peer), 1u << 20),
     gate});
  run();
  for (int i = 0; i < 20; ++i)
    static_cast<void>(large_chat(900'000));
  CHECK(script.chats.size() == 4);
  REQUIRE(script.unread.size() == 4);
  post(script.actor, [&script] {
    script.unread[0].deliver();
    script.unread[1].deliver();
  });
  run();
  CHECK(script.chats.size() == 6);
}

TEST_CASE_METHOD(proxy_test, "the end of the own node is no news of an owner, the owner's is, by whatever words",
                 "[node][log]") {
  test::collected_log told;
  auto log = std::get<log_handle>(start_log({}, {told.sink(), log_level::info}));
  proxy = spawn_provider_proxy(
    system(), provider, node, [] {}, 1u << 20, log);
  hold(proxy.actor);
  owner_script script;
  connect(script);
  proxy.disconnect({"this node ends", true});
  proxy.disconnect({"the program is shutting down"});
  run();
  CHECK(told.wait_for("provider.unreachable")
        == "provider.unreachable provider=p owner=far reason=the program is shutting down");
}

TEST_CASE_METHOD(proxy_test, "a proxy that ends frees the link for others", "[node]") {
  begin();
  auto gate = std::make_shared<node::shared_gate>(4'000'000);
  owner_script script;
  connect(script, gate);
  for (int i = 0; i < 10; ++i)
    static_cast<void>(large_chat(900'000));
  end(proxy.actor);
  CHECK(gate->on_the_way() == 0);
}

TEST_CASE_METHOD(proxy_test, "requests that fill the memory for them are refused at once", "[node]") {
  proxy = spawn_provider_proxy(
    system(), provider, node, [] {}, 10'000'000);
  hold(proxy.actor);
  std::vector<std::shared_ptr<test::outcome<completion>>> answers;
  for (int i = 0; i < 30; ++i)
    answers.push_back(large_chat(900'000));
  CHECK(std::count_if(answers.begin(), answers.end(), [](auto& x) { return x->pending(); }) == 11);
  REQUIRE(answers.back()->error);
  CHECK(answers.back()->error->code == errc::queue_full);
  CHECK(answers.back()->error->message.find("runtime.max_queued_bytes") != std::string::npos);
  owner_script script;
  connect(script);
  REQUIRE(script.chats.size() == 11);
  for (auto& x : std::vector(script.chats))
    reply_with(script, x.reply, completion{});
  auto again = large_chat(900'000);
  CHECK(again->pending());
}

TEST_CASE_METHOD(chain_test, "what arrives is acknowledged on both sides, and answers wait for room, too", "[node]") {
  settings.max_concurrent = 100;
  settings.retry.max_attempts = 2;
  settings.nodes = {"far"};
  owner = spawn();
  proxy = spawn_provider_proxy(system(), settings, node, [] {});
  hold(proxy.actor);
  auto out = std::make_shared<node::shared_gate>(2'000'000);
  auto back = std::make_shared<node::shared_gate>(2'000'000);
  peer = hold(system().spawn([](caf::event_based_actor*) -> caf::behavior { return {[](int) {}}; }));
  proxy.connect(
    {spawn_provider_guest(system(), owner, "near", caf::actor_cast<caf::strong_actor_ptr>(peer), 1u << 20, back), out});
  run();
  std::vector<std::shared_ptr<test::outcome<completion>>> answers;
  for (uint64_t i = 0; i < 40; ++i)
    answers.push_back(ask<completion>(proxy.actor, question(i, std::string(900'000, 'x'))));
  CHECK(http->pending() == 40); // each has made room for the next
  CHECK(out->on_the_way() < node::receipts::enough);
  while (http->pending() > 0)
    say(0, std::string(700'000, 'y'));
  for (auto& x : answers)
    CHECK(x->value);
  CHECK(out->on_the_way() == 0);
  CHECK(back->on_the_way() < node::receipts::enough);
  // Somebody else fills the link back.
  node::shared_gate::user other{back, [] {}};
  REQUIRE(other.take(1'990'000));
  auto first = ask<completion>(proxy.actor, question(100));
  auto second = ask<completion>(proxy.actor, question(101));
  auto third = ask<completion>(proxy.actor, question(102));
  REQUIRE(http->pending() == 3);
  for (int i = 0; i < 3; ++i)
    say(0, std::string(700'000, 'y'));
  CHECK(first->pending());
  caf::anon_send(proxy.actor, cancel_atom_v, request_id{1, 101});
  run();
  REQUIRE(second->error);
  CHECK(second->error->code == errc::cancelled);
  other.give_back(1'990'000);
  run();
  CHECK(first->value);
  CHECK(third->value);
  CHECK(back->on_the_way() < node::receipts::enough);
  auto small = ask<completion>(proxy.actor, question(103));
  say(0, "yes");
  CHECK(small->value);
  CHECK(back->on_the_way() > 0);
  advance(node::receipts::patience); // small ones are told of, too: else they would keep a large one back for good
  CHECK(back->on_the_way() == 0);
  CHECK(out->on_the_way() == 0);
  kill(peer); // and the guest with it
  CHECK(back->on_the_way() == 0);
}

TEST_CASE_METHOD(chain_test, "what waits for a slow link is bounded, and refused beyond that", "[node]") {
  begin();
  auto back = std::make_shared<node::shared_gate>(2'000'000);
  node::shared_gate::user other{back, [] {}};
  REQUIRE(other.take(1'990'000)); // and it reads nothing
  peer = hold(system().spawn([](caf::event_based_actor*) -> caf::behavior { return {[](int) {}}; }));
  proxy.connect(
    {spawn_provider_guest(system(), owner, "near", caf::actor_cast<caf::strong_actor_ptr>(peer), 16u << 20, back), {}});
  run();
  std::vector<std::shared_ptr<test::outcome<completion>>> answers;
  for (uint64_t i = 0; i < 6; ++i) { // 72 MB
    answers.push_back(ask<completion>(proxy.actor, question(i)));
    REQUIRE(http->pending() == 1);
    say(0, std::string(12'000'000, 'y'));
  }
  auto refused = ask<completion>(proxy.actor, question(100));
  CHECK(http->pending() == 0); // nobody pays for what cannot be told
  REQUIRE(refused->error);
  CHECK(refused->error->code == errc::queue_full);
  CHECK(ask<provider_status>(proxy.actor, status_atom_v)->value); // what is small passes
  other.give_back(1'990'000);
  run();
  for (auto& x : answers) {
    advance(node::receipts::patience);
    CHECK(x->value);
  }
  auto after = ask<completion>(proxy.actor, question(101));
  REQUIRE(http->pending() == 1);
  say(0, "yes");
  CHECK(after->value);
}

} // namespace modelforge::provider_proxy_test
