#include "node/peer_traffic.hpp"

#include <catch2/catch_test_macros.hpp>

#include <memory>
#include <string>

namespace modelforge::peer_traffic_test {

using namespace std::chrono_literals;

namespace {

using traffic = node::peer_traffic<std::string>;

const auto start = traffic::time_point{} + 1h;

} // namespace

TEST_CASE("a link's room is free again when what was sent has arrived, is acknowledged, or will never be", "[node]") {
  auto gate = std::make_shared<node::shared_gate>(100);
  traffic x;
  x.enter(gate, [] {});
  REQUIRE(x.take_room(60));
  auto first = x.sent("a", 60);
  REQUIRE(x.take_room(40));
  x.sent("b", 40);
  CHECK_FALSE(x.take_room(1));
  x.withdraw();
  CHECK(gate->on_the_way() == 100);
  x.arrived("a", first);
  CHECK(gate->on_the_way() == 40);
  x.acknowledged("b", 1);
  CHECK(gate->on_the_way() == 0);
  x.acknowledged("b", 1'000'000); // more than were sent
  x.acknowledged("nobody", 1);
  CHECK(gate->on_the_way() == 0);
  REQUIRE(x.take_room(50));
  x.sent("b", 50);
  x.remove("b");
  CHECK(gate->on_the_way() == 0);
  REQUIRE(x.take_room(50));
  x.sent("a", 50);
  x.leave();
  CHECK(gate->on_the_way() == 0);
  CHECK(x.take_room(1'000'000)); // without a gate all goes at once
}

TEST_CASE("small messages are acknowledged after a while, many at once", "[node]") {
  traffic x;
  CHECK(x.received("a", node::receipts::enough, start) == 1);
  CHECK_FALSE(x.due_at());
  CHECK_FALSE(x.received("a", 10, start));
  CHECK_FALSE(x.received("a", 10, start + 10ms));
  CHECK_FALSE(x.received("b", 10, start + 20ms));
  REQUIRE(x.due_at() == start + node::receipts::patience);
  CHECK(x.take_due(start + 10ms).empty());
  uint64_t of_a = 0, of_b = 0;
  for (auto& due : x.take_due(*x.due_at()))
    (due.peer == "a" ? of_a : of_b) += due.count;
  CHECK(of_a == 2);
  CHECK(of_b == 1);
  CHECK_FALSE(x.due_at());
  CHECK(x.take_due(start + 1h).empty());
}

TEST_CASE("a link that is new knows nothing of the one before", "[node]") {
  auto before = std::make_shared<node::shared_gate>(100);
  auto after = std::make_shared<node::shared_gate>(100);
  traffic x;
  x.enter(before, [] {});
  REQUIRE(x.take_room(80));
  x.sent("a", 80);
  x.enter(after, [] {});
  CHECK(before->on_the_way() == 0);
  CHECK(x.gate() == after);
  x.acknowledged("a", 1);
  CHECK(after->on_the_way() == 0);
  CHECK(x.add("a"));
  CHECK_FALSE(x.add("a"));
}

} // namespace modelforge::peer_traffic_test
