#include "node/link_gate.hpp"
#include "node/shared_gate.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <thread>
#include <vector>

namespace modelforge::link_gate_test {

using node::link_gate;
using node::receipts;
using node::shared_gate;
using node::unacknowledged;

TEST_CASE("no more is on its way to a peer than may be", "[node]") {
  link_gate x{100};
  auto a = x.join();
  auto b = x.join();
  CHECK(x.take(a, 60));
  CHECK_FALSE(x.take(a, 60));
  CHECK_FALSE(x.next());
  CHECK(x.take(b, 10)); // it has had less
  CHECK(x.take(b, 10));
  CHECK(x.take(b, 15));
  x.give_back(a, 60);
  CHECK(x.next() == a);
  CHECK(x.on_the_way() == 95); // kept for it
  CHECK_FALSE(x.take(b, 10));
  CHECK_FALSE(x.next());
  CHECK(x.take(a, 60));
  CHECK(x.on_the_way() == 95);
  x.give_back(a, 1000); // more than it has
  CHECK(x.on_the_way() == 35);
  CHECK(x.next() == b);
  x.leave(b);
  CHECK(x.on_the_way() == 0);
}

TEST_CASE("a message that is larger than the room goes alone", "[node]") {
  link_gate x{100};
  auto a = x.join();
  CHECK(x.take(a, 1000));
  CHECK_FALSE(x.take(a, 1));
  x.give_back(a, 1000);
  CHECK(x.next() == a);
  CHECK(x.take(a, 1));
  CHECK_FALSE(x.take(a, 1000));
}

TEST_CASE("room that is not wanted any more is others'", "[node]") {
  link_gate x{100};
  auto a = x.join();
  auto b = x.join();
  auto c = x.join();
  CHECK(x.take(a, 100));
  CHECK_FALSE(x.take(b, 100));
  CHECK_FALSE(x.take(c, 100));
  SECTION("before it is there") {
    x.withdraw(b);
  }
  SECTION("or since") {
    x.give_back(a, 100);
    CHECK(x.next() == b);
    CHECK_FALSE(x.next());
    x.withdraw(b);
  }
  SECTION("or because who wanted it has gone") {
    x.leave(b);
  }
  x.give_all_back(a);
  CHECK(x.next() == c);
  CHECK(x.take(c, 100));
}

TEST_CASE("those that wait share a link by bytes", "[node]") {
  std::mt19937_64 random{1};
  link_gate x{1000};
  std::map<link_gate::user, uint64_t> size, served;
  for (uint64_t bytes : {10u, 100u, 900u})
    size[x.join()] = bytes;
  std::vector<std::pair<link_gate::user, uint64_t>> on_the_way;
  auto ask = [&](link_gate::user who) {
    while (x.take(who, size[who])) {
      served[who] += size[who];
      on_the_way.emplace_back(who, size[who]);
    }
  };
  for (auto& [who, bytes] : size)
    ask(who);
  for (int i = 0; i < 20'000; ++i) {
    CHECK(x.on_the_way() <= 1000);
    REQUIRE_FALSE(on_the_way.empty());
    std::swap(on_the_way[random() % on_the_way.size()], on_the_way.back());
    x.give_back(on_the_way.back().first, on_the_way.back().second);
    on_the_way.pop_back();
    while (auto next = x.next())
      ask(*next);
  }
  auto [least, most] =
    std::minmax_element(served.begin(), served.end(), [](auto& a, auto& b) { return a.second < b.second; });
  CHECK(least->second > 100'000);
  CHECK(most->second - least->second <= 3000);
}

TEST_CASE("what has arrived is known by its number or by being told, whatever is told", "[node]") {
  unacknowledged x;
  CHECK(x.send(10) == 1);
  CHECK(x.send(20) == 2);
  CHECK(x.send(30) == 3);
  CHECK(x.arrived(2) == 30);
  CHECK(x.arrived(1) == 0);
  CHECK(x.told(1) == 0); // known already
  CHECK(x.told(0) == 0);
  CHECK(x.told(2) == 30);
  CHECK(x.told(UINT64_MAX) == 0);
  CHECK(x.send(40) == 4);
  CHECK(x.told(UINT64_MAX) == 40);
  CHECK(x.send(50) == 5);
  CHECK(x.arrived(UINT64_MAX) == 50);
}

TEST_CASE("a receipt is sent for each large message, and for many small ones together", "[node]") {
  receipts x;
  CHECK(x.arrived(receipts::enough) == 1u);
  for (uint64_t i = 1; i < receipts::enough / 1024; ++i)
    CHECK_FALSE(x.arrived(1024));
  CHECK(x.arrived(1024) == receipts::enough / 1024);
}

TEST_CASE("threads share a gate", "[node]") {
  auto gate = std::make_shared<shared_gate>(1000);
  std::atomic<bool> passed{false};
  std::vector<std::thread> all;
  for (uint64_t bytes : {100u, 400u, 700u, 1000u})
    all.emplace_back([&, bytes] {
      auto wakes = std::make_shared<std::atomic<uint64_t>>(0); // a last one may come when all is done
      shared_gate::user me{gate, [wakes] {
                             ++*wakes;
                             wakes->notify_all();
                           }};
      for (int i = 0; i < 2000; ++i) {
        for (auto seen = wakes->load(); !me.take(bytes); seen = wakes->load())
          wakes->wait(seen);
        passed = passed || gate->on_the_way() > 1000;
        me.give_back(bytes);
      }
    });
  for (auto& x : all)
    x.join();
  CHECK_FALSE(passed);
  CHECK(gate->on_the_way() == 0);
}

} // namespace modelforge::link_gate_test
