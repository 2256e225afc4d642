#include "tests/actors/proxy_fixture.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <map>
#include <string>

namespace modelforge::provider_proxy_test {

TEST_CASE_METHOD(chain_test, "a node gets no more of a provider for its many tenants", "[node]") {
  settings.max_concurrent = 1;
  settings.interactive_slots = 0;
  auto of =
    spawn_controlled_provider(system(), {std::get<provider::setup>(provider::prepare(settings, runtime))}, http);
  hold(of.actor);
  peer = hold(system().spawn([](caf::event_based_actor*) -> caf::behavior { return {[](int) {}}; }));
  auto guest_of = [&](const std::string& name) {
    auto guest = spawn_provider_guest(system(), of.actor, name, caf::actor_cast<caf::strong_actor_ptr>(peer), 1u << 20);
    of.control.run([who = caf::actor_cast<caf::strong_actor_ptr>(guest), name](provider_control& control) {
      control.add_guest(who, "node " + name);
    });
    run();
    return guest;
  };
  auto many = guest_of("many");
  auto few = guest_of("few");
  uint64_t n = 0;
  auto offer = [&](const provider_actor& to, const std::string& text, const std::string& tenant) {
    auto x = question(++n, text);
    x.tenant = tenant;
    static_cast<void>(ask<completion>(to, x));
  };
  for (int i = 0; i < 40; ++i)
    offer(many, "of many", "tenant " + std::to_string(i));
  for (int i = 0; i < 20; ++i) {
    offer(few, "of few", {});
    offer(of.actor, "of its own", i % 2 == 0 ? "x" : "y");
  }
  std::map<std::string, int> sent;
  for (int i = 0; i < 31; ++i) {
    REQUIRE(http->pending() == 1);
    for (auto* text : {"of many", "of few", "of its own"})
      sent[text] += http->sent_bodies.back().find(text) != std::string::npos;
    say(0, "hello");
  }
  for (auto& [text, times] : sent) {
    CAPTURE(text);
    CHECK(times >= 10);
    CHECK(times <= 11);
  }
}

TEST_CASE_METHOD(proxy_test, "a drain does not wait for streams whose subscribers died early", "[node][stream]") {
  begin();
  owner_script script;
  connect(script);
  auto reader = system().spawn(subscriber);
  auto taken = ask<stream_session_actor>(proxy.actor, stream_request{}, reader);
  REQUIRE(script.streams.size() == 1);
  kill(caf::actor_cast<caf::actor>(reader)); // before the session is there
  reader = nullptr;
  reply_with(script, script.streams[0].reply, stream_session_actor{hold(system().spawn(session))});
  CHECK_FALSE(taken->pending());
  auto drained = ask_void(proxy.actor, drain_atom_v, caf::timespan{1h});
  CHECK(drained->value);
}

TEST_CASE_METHOD(proxy_test, "a drain waits for a stream that was sent twice", "[node][stream]") {
  begin();
  owner_script first, second;
  auto one = connect(first);
  auto reader = hold(system().spawn(subscriber));
  auto taken = ask<stream_session_actor>(proxy.actor, stream_request{}, reader);
  REQUIRE(first.streams.size() == 1);
  end(one); // the first attempt's relay ends
  connect(second);
  REQUIRE(second.streams.size() == 1);
  CHECK(second.streams[0].request.chat.earlier.spent == 1);
  reply_with(second, second.streams[0].reply, stream_session_actor{hold(system().spawn(session))});
  CHECK(taken->value);
  auto drained = ask_void(proxy.actor, drain_atom_v, caf::timespan{1h});
  CHECK(drained->pending());
  tell(second.streams[0].subscriber, stream_done{});
  CHECK(drained->value);
}

TEST_CASE_METHOD(proxy_test, "what an owner drains is held, and sent to the one that follows", "[node]") {
  begin();
  owner_script first, still, second;
  auto one = connect(first);
  auto under_way = chat();
  auto refused = chat();
  REQUIRE(first.chats.size() == 2);
  first.draining = still.draining = true;
  reply_with(first, first.chats[1].reply, error_of(errc::draining));
  auto late = chat();
  CHECK(first.chats.size() == 2);
  CHECK(refused->pending());
  auto status = ask<provider_status>(proxy.actor, status_atom_v);
  REQUIRE(status->value);
  CHECK(status->value->waiting == 3);
  CHECK(status->value->problem.find("takes nothing new") != std::string::npos);
  advance(200ms);
  CHECK(looks >= 1);
  connect(still); // the same one, seen anew
  CHECK(still.chats.empty());
  auto before = looks;
  advance(5s);
  CHECK(looks > before);
  CHECK(looks < before + 10);
  SECTION("in the same program") {
    auto two = connect(second);
    REQUIRE(second.chats.size() == 2);
    CHECK(second.chats[0].request.earlier.spent == 0);
    reply_with(first, first.chats[0].reply, completion{}); // what the old one has, it answers
    run();
    CHECK(under_way->value);
    end(one);
    CHECK(second.chats.size() == 2);
  }
  SECTION("after its program has ended and begun anew") {
    proxy.disconnect({"it is shutting down"});
    run();
    advance(60s); // longer than one waits for one that is lost
    CHECK(refused->pending());
    CHECK(late->pending());
    CHECK(under_way->pending());
    connect(second);
    REQUIRE(second.chats.size() == 3);
    CHECK(second.chats[0].request.earlier.spent == 1);
    CHECK(second.chats[1].request.earlier.spent == 0);
  }
  SECTION("but no longer than the deadline") {
    advance(300s);
    REQUIRE(refused->error);
    CHECK(refused->error->code == errc::deadline_exceeded);
  }
}

TEST_CASE_METHOD(proxy_test, "an owner that does not run the provider may still answer what it has", "[node]") {
  begin();
  owner_script script;
  connect(script);
  auto answer = chat();
  REQUIRE(script.chats.size() == 1);
  proxy.refuse(make_failure(errc::configuration, "it is gone"));
  run();
  auto refused = chat();
  REQUIRE(refused->error);
  CHECK(refused->error->code == errc::configuration);
  CHECK(answer->pending());
  reply_with(script, script.chats[0].reply, completion{});
  CHECK(answer->value);
}

TEST_CASE_METHOD(proxy_test, "an owner that comes to run the provider is found while its node is there", "[node]") {
  begin();
  proxy.refuse(make_failure(errc::configuration, "node far does not run it"));
  run();
  CHECK(chat()->error);
  auto status = ask<provider_status>(proxy.actor, status_atom_v);
  REQUIRE(status->value);
  CHECK(status->value->problem == "node far does not run it");
  advance(10s); // nobody asks for anything meanwhile
  CHECK(looks >= 10);
  CHECK(looks <= 20);
  owner_script script;
  connect(script);
  auto answer = chat();
  REQUIRE(script.chats.size() == 1);
  auto before = looks;
  advance(60s);
  CHECK(looks == before);
  reply_with(script, script.chats[0].reply, completion{});
  CHECK(answer->value);
}

TEST_CASE_METHOD(proxy_test, "an owner's actor that is dead when it is found keeps nobody busy", "[node]") {
  owner_script script;
  script.actor = hold(system().spawn(owner_actor, &script));
  auto dead = script.actor;
  kill(caf::actor_cast<caf::actor>(dead));
  proxy = spawn_provider_proxy(system(), provider, node, [&] {
    if (++looks < 1000) // it would go on for ever
      proxy.connect(dead);
  });
  hold(proxy.actor);
  proxy.connect(dead);
  run();
  advance(10s);
  CHECK(looks >= 5);
  CHECK(looks <= 20);
  script.actor = nullptr;
}

} // namespace modelforge::provider_proxy_test
