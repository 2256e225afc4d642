#include "tests/actors/live_provider.hpp"
#include "tools/simulator/simulator.hpp"

#include <catch2/catch_test_macros.hpp>

#include <caf/event_based_actor.hpp>

#include <chrono>
#include <thread>

namespace modelforge::abandoned_test {

/// Callers that die, in front of a server that counts what was aborted.

using namespace std::chrono_literals;

namespace {

template <class F>
bool eventually(F holds) {
  auto until = std::chrono::steady_clock::now() + 10s;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > until)
      return false;
    std::this_thread::yield();
  }
  return true;
}

caf::actor ask_and_wait(test::live_provider& at) {
  return at.system().spawn([to = *at](caf::event_based_actor* self) {
    chat_request x;
    x.messages.push_back(text_message(role::user, "Why?"));
    self->request(to, caf::infinite, std::move(x)).then([](const completion&) {}, [](const caf::error&) {});
  });
}

} // namespace

TEST_CASE("a caller that dies leaves nothing behind, at the server neither", "[actors]") {
  simulator::options slow;
  slow.latency = 60s;
  simulator::server server{slow};
  auto settings = test::live_provider::settings_for(server.url());
  settings.max_concurrent = 1;
  settings.interactive_slots = 0;
  test::live_provider at{settings};
  auto in_flight = ask_and_wait(at);
  REQUIRE(eventually([&] { return server.snapshot().concurrency == 1; }));
  auto queued = ask_and_wait(at);
  REQUIRE(eventually([&] { return at.status().queued == 1; }));
  caf::anon_send_exit(queued, caf::exit_reason::kill);
  CHECK(eventually([&] { return at.status().queued == 0; }));
  CHECK(server.snapshot().aborted == 0);
  caf::anon_send_exit(in_flight, caf::exit_reason::kill);
  CHECK(eventually([&] { return server.snapshot().aborted == 1; }));
  CHECK(eventually([&] { return at.status().in_flight == 0; }));
  CHECK(server.snapshot().requests == 1);
}

TEST_CASE("a caller that dies between two attempts gets no second one", "[actors]") {
  simulator::options broken;
  simulator::add_fault(broken, "503=1");
  simulator::server server{broken};
  auto settings = test::live_provider::settings_for(server.url());
  settings.retry.max_attempts = 3;
  settings.retry.base_wait = 60s;
  test::live_provider at{settings};
  auto waiting = ask_and_wait(at);
  REQUIRE(eventually([&] { return at.status().waiting == 1; }));
  caf::anon_send_exit(waiting, caf::exit_reason::kill);
  CHECK(eventually([&] { return at.status().waiting == 0; }));
  CHECK(server.snapshot().requests == 1);
}

} // namespace modelforge::abandoned_test
