#include "cluster/reserved_window.hpp"
#include "cluster/window_snapshot.hpp"

#include <catch2/catch_test_macros.hpp>

#include <random>
#include <string>
#include <vector>

namespace modelforge::reserved_window_test {

using namespace modelforge::cluster;
using namespace std::chrono_literals;
using limits::amounts;

namespace {

const time_point start{1000h};

/// One lane of 600 requests a window, and one without a limit.
reserved_window make(revision base = 0) {
  return {{{{600, 0, 0, 0}}, {}}, 5, base, start, 1};
}

constexpr amounts one{1, 70, 0, 0};

} // namespace

TEST_CASE("nothing is charged before a snapshot that allows it is saved", "[window]") {
  auto x = make(3);
  CHECK_FALSE(x.admits(0, one));
  CHECK(x.admits(1, one)); // no limit
  auto allowances = x.wanted(start);
  REQUIRE(allowances);
  CHECK(*allowances == std::vector<amounts>{{20, 0, 0, 0}, {}}); // two seconds' worth
  x.made("first");
  auto asked = x.next(start);
  REQUIRE(asked);
  CHECK(asked->epoch == 5);
  CHECK(asked->base == 3);
  CHECK(asked->bytes == "first");
  CHECK_FALSE(x.next(start));
  CHECK_FALSE(x.wanted(start));
  CHECK_FALSE(x.admits(0, one));
  x.on_saved(asked->number, 8, start);
  for (int i = 0; i < 20; ++i) {
    REQUIRE(x.admits(0, one));
    x.charge(0, one);
  }
  CHECK_FALSE(x.admits(0, one));
}

TEST_CASE("the next snapshot is made before the allowance is used up", "[window]") {
  auto x = make();
  x.made("first");
  x.on_saved(x.next(start)->number, 8, start);
  int charged = 0;
  for (; !x.wanted(start); ++charged)
    x.charge(0, one);
  CHECK(charged == 11);
  x.made("second");
  auto asked = x.next(start);
  CHECK(asked->base == 8);
  for (; x.admits(0, one); ++charged)
    x.charge(0, one);
  CHECK(charged == 20); // the store may have the first one still
  x.on_saved(asked->number, 9, start);
  for (; x.admits(0, one); ++charged)
    x.charge(0, one);
  CHECK(charged == 31); // what was charged meanwhile counts for the second one, too
}

TEST_CASE("a snapshot whose answer is lost is sent again, the same, and is not saved twice", "[window]") {
  auto x = make();
  x.made("first");
  auto asked = x.next(start);
  CHECK_FALSE(x.next(start + 499ms));
  CHECK(x.wake_at() == start + 500ms);
  auto again = x.next(start + 500ms);
  REQUIRE(again);
  CHECK(again->bytes == "first");
  CHECK(again->base == 0);
  CHECK(again->number != asked->number);
  SECTION("the first one was carried out") {
    x.on_other(again->number, true, 8, "first", start + 501ms);
  }
  SECTION("the first one is answered late") {
    x.on_saved(asked->number, 8, start + 501ms);
    x.on_other(again->number, true, 8, "first", start + 502ms); // old news
  }
  SECTION("it fails") {
    x.on_failure(again->number, start + 501ms);
    auto third = x.next(start + 1s);
    REQUIRE(third);
    x.on_saved(third->number, 8, start + 1s);
  }
  CHECK(x.admits(0, one));
  CHECK_FALSE(x.next(start + 2s));
  x.charge(0, {11, 0, 0, 0});
  REQUIRE(x.wanted(start + 2s));
  x.made("second");
  CHECK(x.next(start + 2s)->base == 8);
}

TEST_CASE("what somebody wrote over a snapshot is written over", "[window]") {
  auto x = make(3);
  x.made("first");
  x.on_other(x.next(start)->number, true, 0, "", start); // removed by hand
  auto again = x.next(start);
  REQUIRE(again);
  CHECK(again->base == 0);
  x.on_other(again->number, true, 9, "garbage", start);
  again = x.next(start);
  REQUIRE(again);
  CHECK(again->base == 9);
  CHECK_FALSE(x.admits(0, one));
  x.on_saved(again->number, 10, start);
  CHECK(x.admits(0, one));
}

TEST_CASE("under another owner's epoch nothing is charged any more", "[window]") {
  auto x = make();
  x.made("first");
  x.on_saved(x.next(start)->number, 8, start);
  x.charge(0, {11, 0, 0, 0});
  x.made("second");
  x.on_other(x.next(start)->number, false, 9, "other", start);
  CHECK(x.is_lost());
  CHECK_FALSE(x.admits(0, one));
  CHECK_FALSE(x.wanted(start + 1h));
  CHECK_FALSE(x.next(start + 1h));
  CHECK_FALSE(x.wake_at());
}

TEST_CASE("what is larger than an allowance is allowed by the next snapshot, up to the limit", "[window]") {
  reserved_window x{{{{600, 1000, 0, 0}}}, 5, 0, start, 1};
  CHECK_FALSE(x.admits(0, {1, 5000, 0, 0}));
  CHECK(x.wanted(start)->front() == amounts{20, 1000, 0, 0});
  x.made("first");
  x.on_saved(x.next(start)->number, 8, start);
  CHECK(x.admits(0, {1, 5000, 0, 0}));
  x.charge(0, {1, 5000, 0, 0});
  CHECK_FALSE(x.admits(0, {1, 1, 0, 0}));
}

TEST_CASE("the last snapshot allows nothing", "[window]") {
  auto x = make();
  x.made("first");
  x.on_saved(x.next(start)->number, 8, start);
  x.finish();
  CHECK_FALSE(x.admits(0, one));
  CHECK_FALSE(x.is_finished());
  auto allowances = x.wanted(start);
  REQUIRE(allowances);
  CHECK(*allowances == std::vector<amounts>(2));
  x.made("last");
  x.on_saved(x.next(start)->number, 9, start);
  CHECK(x.is_finished());
  CHECK_FALSE(x.wanted(start));
}

TEST_CASE("a snapshot is as old as when it was first seen, at least", "[window]") {
  window_follower x;
  CHECK(x.age(0, start) == 0s);
  x.saw(8, start);
  x.saw(8, start + 1s);
  CHECK(x.age(8, start + 5s) == 5s);
  CHECK(x.age(9, start + 5s) == 0s); // it was written since
  x.saw(9, start + 5s);
  x.saw(8, start + 6s); // late
  CHECK(x.age(9, start + 7s) == 2s);
}

TEST_CASE("snapshots are read as they were written, and a little later", "[window]") {
  std::vector<window_lane> lanes{
    {"key/group", {{1ns, {1, 2, 3, 4}}, {30s + 1ns, {5, 0, 0, 0}}, {60s, {1, 1, 1, 1}}}, {7, 8, 9, 10}},
    {"", {}, {}},
    {"other", {{10s, {0, 1u << 30, 0, 0}}}, {}}};
  auto bytes = write_snapshot(lanes);
  REQUIRE(bytes);
  auto read = read_snapshot(*bytes);
  REQUIRE(read);
  REQUIRE(read->size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK((*read)[i].name == lanes[i].name);
    CHECK((*read)[i].open == lanes[i].open);
    REQUIRE((*read)[i].live.size() == lanes[i].live.size());
    for (std::size_t j = 0; j < lanes[i].live.size(); ++j) {
      CHECK((*read)[i].live[j].amount == lanes[i].live[j].amount);
      CHECK((*read)[i].live[j].left >= lanes[i].live[j].left);
      CHECK((*read)[i].live[j].left <= lanes[i].live[j].left + 501ms);
    }
  }
}

TEST_CASE("snapshots are bounded, and lose nothing by that", "[window]") {
  window_lane lane{"lane", {}, {}};
  amounts sum{};
  for (int i = 1; i <= 60'000; ++i) {
    lane.live.push_back({std::chrono::milliseconds{i}, {1, 1000, 0, 0}});
    limits::add(sum, lane.live.back().amount);
  }
  auto one_lane = write_snapshot({lane});
  REQUIRE(one_lane);
  CHECK(one_lane->size() < 1500);
  for (std::size_t count : {1u, 50u, 300u}) {
    auto bytes = write_snapshot(std::vector<window_lane>(count, lane));
    REQUIRE(bytes);
    CHECK(bytes->size() <= max_snapshot);
    auto read = read_snapshot(*bytes);
    REQUIRE(read);
    for (auto& each : *read) {
      amounts total{};
      for (auto& x : each.live)
        limits::add(total, x.amount);
      REQUIRE(total == sum);
    }
  }
  CHECK_FALSE(write_snapshot(std::vector<window_lane>(1001)));
  CHECK_FALSE(write_snapshot({{std::string(201, 'n'), {}, {}}}));
  CHECK_FALSE(write_snapshot(std::vector<window_lane>(900, {std::string(200, 'n'), {}, {}})));
}

TEST_CASE("what is no snapshot is not read", "[window]") {
  auto good = *write_snapshot({{"lane", {{1s, {1, 300, 0, 0}}, {2s, {1, 2, 0, 0}}}, {7, 8, 0, 0}}});
  REQUIRE(read_snapshot(good));
  for (std::size_t i = 0; i < good.size(); ++i)
    CHECK_FALSE(read_snapshot(std::string_view{good}.substr(0, i)));
  CHECK_FALSE(read_snapshot(good + "x"));
  CHECK_FALSE(read_snapshot(std::string(max_snapshot + 1, 'm')));
  CHECK_FALSE(read_snapshot("mfw1" + std::string(20, '\xff')));
  std::mt19937_64 random{1};
  for (int i = 0; i < 20'000; ++i) { // sanitizers watch
    auto changed = good;
    for (int j = 0; j < 3; ++j)
      changed[4 + random() % (changed.size() - 4)] = static_cast<char>(random());
    if (auto read = read_snapshot(changed))
      for (auto& lane : *read)
        for (auto& each : lane.live) {
          REQUIRE(each.left >= 0s);
          REQUIRE(each.left <= 24h);
        }
  }
}

} // namespace modelforge::reserved_window_test
