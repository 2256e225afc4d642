#include "cluster/ownership.hpp"

#include "cluster/preference.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

namespace modelforge::ownership_test {

using namespace modelforge::cluster;
using namespace std::chrono_literals;

namespace {

const time_point start{1000h};

/// Of a lease of 4 s.
constexpr duration third = duration{4s} / 3;
constexpr duration two_thirds = duration{4s} * 2 / 3;

/// One candidate, whose store is played by hand.
struct bench {
  explicit bench(std::string node = "a", std::optional<duration> hand_back_after = {})
    : x{{std::move(node), {"a", "b", "c"}, 5s, hand_back_after}, start, 1} {
    take();
    x.on_watch(now);
    take();
  }

  /// Carries out all there is to do now.
  void take() {
    while (auto step = x.next(now)) {
      if (auto* asked = std::get_if<ownership::ask>(&*step))
        open.push_back(*asked);
      else if (auto* told = std::get_if<ownership::serve>(&*step))
        served = *told;
      else if (auto* end = std::get_if<ownership::stop>(&*step)) {
        served.reset();
        stopped = *end;
      }
    }
  }

  template <class T>
  std::optional<ownership::ask> find() {
    std::optional<ownership::ask> result;
    for (auto& each : open)
      if (std::holds_alternative<T>(each.what))
        result = each;
    return result;
  }

  /// Answers the latest question of that kind.
  template <class T>
  void answer(const answer& told) {
    auto asked = find<T>();
    REQUIRE(asked);
    std::erase_if(open, [&](auto& each) { return each.id == asked->id; });
    x.on_answer(asked->id, told, now);
    take();
  }

  void go(duration d) {
    for (auto end = now + d; now < end;) {
      now = std::min(end, std::max(now + 1ms, x.wake_at()));
      take();
    }
  }

  /// Answers what looks are there, and those that follow.
  void see(const store_view& view) {
    go(700ms * !find<look>());
    REQUIRE(find<look>());
    while (find<look>())
      answer<look>(seen{view});
  }

  void get_lease(lease_id lease = 7) { answer<grant_lease>(lease_granted{1, lease, 4s}); }

  /// Owner with the epoch 5, under the lease 7.
  void own() {
    get_lease();
    see({1, {}, {}, {}});
    go(0ms);
    while (!find<acquire>())
      go(50ms);
    answer<acquire>(acquired{5});
    see({5, owner_record{"a", 7, 5}, {}, {}});
    REQUIRE(served);
  }

  time_point now = start;
  ownership x;
  std::vector<ownership::ask> open;
  std::optional<ownership::serve> served;
  std::optional<ownership::stop> stopped;
};

} // namespace

TEST_CASE("a candidate owns a free provider under its lease, and its revision is the epoch", "[ownership]") {
  bench b;
  CHECK(std::get<grant_lease>(b.find<grant_lease>()->what).ttl == 4s); // one second less than the bound
  CHECK_FALSE(b.find<acquire>());
  b.see({1, {}, {}, {}});
  CHECK_FALSE(b.find<acquire>()); // not without a lease
  b.now += 100ms;
  b.get_lease();
  REQUIRE(b.find<acquire>());
  CHECK(std::get<acquire>(b.find<acquire>()->what).lease == 7);
  CHECK_FALSE(b.served);
  b.now += 30ms;
  b.answer<acquire>(acquired{5});
  REQUIRE(b.served);
  CHECK(b.served->epoch == 5);
  CHECK(b.served->until == start + two_thirds); // by the sending of the question, not by the answer
}

TEST_CASE("only answered renewals move the end of the service, by their sending", "[ownership]") {
  bench b;
  b.own();
  auto until = start + two_thirds;
  REQUIRE(b.served->until == until);
  b.now = start + third;
  b.take();
  auto first = b.find<renew_lease>();
  REQUIRE(first);
  auto sent = b.now;
  b.go(500ms);
  CHECK(b.served->until == until);
  b.x.on_answer(first->id, lease_renewed{4s}, b.now);
  b.take();
  CHECK(b.served->until == sent + two_thirds);
  b.x.on_answer(first->id, lease_renewed{4s}, b.now + 1s); // once only
  b.take();
  CHECK(b.served->until == sent + two_thirds);
  b.x.on_answer(99999, lease_renewed{4s}, b.now); // never asked
  b.take();
  CHECK(b.served->until == sent + two_thirds);
}

TEST_CASE("without renewals the service ends in time, and goes on under the same epoch", "[ownership]") {
  bench b;
  b.own();
  auto until = b.served->until;
  b.go(until - b.now - 1ns);
  CHECK(b.served);
  b.go(1ns);
  CHECK_FALSE(b.served);
  REQUIRE(b.stopped);
  CHECK(b.stopped->why == ownership::reason::late);
  CHECK(b.stopped->epoch == 5);
  auto sent = b.now;
  b.go(3s); // asks again and again
  b.answer<renew_lease>(lease_renewed{4s});
  REQUIRE(b.served); // the lease still was
  CHECK(b.served->epoch == 5);
  CHECK(b.served->until > sent);
}

TEST_CASE("a process that was stopped sees at its first turn that its time is over", "[ownership]") {
  bench b;
  b.own();
  b.now += 1h;
  auto step = b.x.next(b.now);
  REQUIRE(step);
  CHECK(std::holds_alternative<ownership::stop>(*step));
}

TEST_CASE("a lease that is no more ends the tenure, and another one is asked for", "[ownership]") {
  bench b;
  b.own();
  b.go(1500ms);
  b.answer<renew_lease>(lease_renewed{0s});
  CHECK_FALSE(b.served);
  CHECK(b.stopped->why == ownership::reason::lease_lost);
  CHECK(b.x.epoch() == 0);
  CHECK(b.find<grant_lease>());
  b.answer<grant_lease>(lease_granted{6, 8, 4s});
  b.see({6, owner_record{"b", 9, 6}, {}, {}});
  b.go(5s);
  CHECK_FALSE(b.served);
  CHECK_FALSE(b.find<acquire>());
}

TEST_CASE("an answer that is lost is found out by looking", "[ownership]") {
  bench b;
  b.get_lease();
  b.see({1, {}, {}, {}});
  REQUIRE(b.find<acquire>());
  b.answer<acquire>(no_answer{no_answer::reason::unavailable, "timed out"});
  CHECK(b.x.problem() == "timed out");
  b.go(100ms);
  b.see({5, owner_record{"a", 7, 5}, {}, {}}); // it was carried out
  REQUIRE(b.served);
  CHECK(b.served->epoch == 5);
  CHECK(b.x.problem().empty());
}

TEST_CASE("a record of the same name under another lease is another process's", "[ownership]") {
  bench b;
  b.get_lease();
  b.see({5, owner_record{"a", 6, 5}, {}, {}});
  b.go(1s);
  CHECK_FALSE(b.served);
  CHECK(b.x.epoch() == 0);
}

TEST_CASE("older views change nothing, and newer ones end a tenure", "[ownership]") {
  bench b;
  b.own();
  b.x.on_change();
  b.take();
  b.see({9, {}, {}, {}}); // removed by somebody
  CHECK_FALSE(b.served);
  CHECK(b.stopped->why == ownership::reason::displaced);
  b.answer<acquire>(no_answer{});
  b.go(100ms);
  auto asked = b.find<look>();
  REQUIRE(asked);
  b.x.on_answer(asked->id, seen{{8, owner_record{"a", 7, 5}, {}, {}}}, b.now); // older than what was known
  b.take();
  CHECK_FALSE(b.served);
}

TEST_CASE("a store that has lost what it knew is not gone by", "[ownership]") {
  bench b;
  b.own();
  for (auto& impossible : std::vector<answer>{
         seen{{4, owner_record{"a", 7, 4}, {}, {}}}, seen{{0, {}, {}, {}}}, seen{{max_revision + 1, {}, {}, {}}},
         seen{{9, owner_record{"b", 1, 10}, {}, {}}}, seen{{9, owner_record{"b", 1, 0}, {}, {}}},
         seen{{9, owner_record{"b", 1, 3}, {}, {}}}, lease_granted{9, 9, 4s}, acquired{12}}) {
    b.x.on_change();
    b.go(2s);
    REQUIRE(b.find<look>());
    b.answer<renew_lease>(lease_renewed{4s});
    auto epoch = b.x.epoch();
    b.answer<look>(impossible);
    CHECK_FALSE(b.x.problem().empty());
    CHECK(b.x.epoch() == epoch);
    if (std::holds_alternative<seen>(impossible))
      CHECK_FALSE(b.served); // until it tells of the record again
    b.go(2s);
    b.answer<renew_lease>(lease_renewed{4s});
    b.see({5, owner_record{"a", 7, 5}, {}, {}});
    CHECK(b.served);
  }
}

TEST_CASE("what was given up is not served again, whatever comes", "[ownership]") {
  bench b;
  b.own();
  CHECK_FALSE(b.x.move("a", b.now));
  CHECK_FALSE(b.x.move("x", b.now));
  REQUIRE(b.x.move("c", b.now));
  b.take();
  CHECK_FALSE(b.served);
  CHECK(b.stopped->why == ownership::reason::handed_over);
  CHECK_FALSE(b.find<give_up>()); // what goes along has to be saved first
  b.x.handed_over(b.now);
  b.take();
  auto asked = b.find<give_up>();
  REQUIRE(asked);
  CHECK(std::get<give_up>(asked->what).epoch == 5);
  CHECK(std::get<give_up>(asked->what).placed == "c");
  b.answer<give_up>(no_answer{}); // and maybe it was carried out
  b.go(100ms);
  REQUIRE(b.find<give_up>());
  auto again = b.x.view();
  b.x.on_answer(again.at == 5 ? b.find<give_up>()->id : 0, seen{again}, b.now); // as it was before
  b.go(100ms);
  CHECK_FALSE(b.served);
  b.answer<give_up>(seen{{8, {}, {}, "c"}}); // it was
  CHECK(b.x.epoch() == 0);
  b.see({8, {}, {}, "c"});
  b.go(40ms);
  CHECK_FALSE(b.find<acquire>()); // c first
  b.go(200ms);
  CHECK(b.find<acquire>()); // but c does not come
}

TEST_CASE("a handing over that does not end is not waited for", "[ownership]") {
  bench b;
  b.own();
  REQUIRE(b.x.move("b", b.now));
  b.take();
  b.go(ownership::hand_over_time - 1ns);
  CHECK_FALSE(b.find<give_up>());
  b.go(1ns);
  CHECK(b.find<give_up>());
}

TEST_CASE("a preferred node claims the provider when it has been well for a while", "[ownership]") {
  bench b{"a", 10s};
  b.get_lease();
  b.see({5, owner_record{"b", 6, 5}, {}, {}});
  auto renew = [&](duration d) {
    for (auto end = b.now + d; b.now < end;) {
      b.go(1400ms);
      b.answer<renew_lease>(lease_renewed{4s});
      b.see({5, owner_record{"b", 6, 5}, {}, {}});
    }
  };
  renew(5s);
  CHECK_FALSE(b.find<claim>());
  b.go(4s); // not in touch with the store: it begins anew
  b.answer<renew_lease>(lease_renewed{4s});
  b.see({5, owner_record{"b", 6, 5}, {}, {}});
  renew(8s);
  CHECK_FALSE(b.find<claim>());
  renew(3s);
  REQUIRE(b.find<claim>());
  CHECK(std::get<claim>(b.find<claim>()->what).epoch == 5);
  b.answer<claim>(changed{6});
  b.see({6, owner_record{"b", 6, 5}, {{"a", 5}}, {}});
  b.open.clear();
  b.go(100ms);
  CHECK_FALSE(b.find<claim>()); // once
}

TEST_CASE("an owner cedes to a claim of a preferred node, and only to that", "[ownership]") {
  bench b{"b", 10s};
  b.get_lease();
  b.see({1, {}, {}, {}});
  b.go(110ms);
  CHECK_FALSE(b.served);
  b.answer<acquire>(acquired{5});
  REQUIRE(b.served);
  owner_record self{"b", 7, 5};
  for (auto& claims : std::vector<std::vector<claim_record>>{{{"c", 5}}, {{"a", 4}}, {{"x", 5}}, {{"b", 5}}}) {
    b.x.on_change();
    b.take();
    b.see({6, self, claims, {}});
    CHECK(b.served);
  }
  b.x.on_change();
  b.take();
  b.see({7, self, {{"a", 5}}, {}});
  CHECK_FALSE(b.served);
  b.x.handed_over(b.now);
  b.take();
  CHECK_FALSE(std::get<give_up>(b.find<give_up>()->what).placed);
  b.answer<give_up>(changed{8});
  b.see({8, {}, {{"a", 5}}, {}});
  b.go(150ms); // it does not take it
  b.answer<acquire>(acquired{9});
  REQUIRE(b.served);
  self.created = 9;
  b.see({10, self, {{"a", 9}}, {}});
  CHECK(b.served); // not again so soon
}

TEST_CASE("without hand-back nobody claims", "[ownership]") {
  bench b;
  b.get_lease();
  for (int i = 0; i < 100; ++i) {
    b.go(1400ms);
    b.answer<renew_lease>(lease_renewed{4s});
    b.see({5, owner_record{"b", 6, 5}, {}, {}});
  }
  CHECK_FALSE(b.find<claim>());
}

TEST_CASE("who withdraws takes nothing, and who ends gives all back", "[ownership]") {
  bench b;
  b.own();
  b.x.withdraw();
  b.take();
  CHECK_FALSE(b.served);
  b.go(300ms);
  b.answer<give_up>(changed{6});
  b.see({6, {}, {}, {}});
  b.go(1s);
  CHECK_FALSE(b.find<acquire>());
  b.x.enter(b.now);
  b.take();
  CHECK(b.find<acquire>());
  b.answer<acquire>(acquired{7});
  b.see({7, owner_record{"a", 7, 7}, {}, {}});
  CHECK(b.served);
  b.x.end();
  b.take();
  CHECK_FALSE(b.served);
  CHECK_FALSE(b.x.is_over());
  b.go(300ms);
  REQUIRE(b.find<revoke_lease>()); // with it goes the record, and nothing that is late makes another
  b.answer<revoke_lease>(changed{8});
  CHECK(b.x.is_over());
  b.go(1h);
}

TEST_CASE("a store that is gone is asked ever less, and never in step", "[ownership]") {
  std::vector<time_point> first;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    ownership x{{"a", {"a", "b"}, 5s, {}}, start, seed};
    auto now = start;
    std::size_t asked = 0;
    for (; now < start + 60s; now = std::max(x.wake_at(), now + 1ns))
      while (auto step = x.next(now)) {
        if (auto* question = std::get_if<ownership::ask>(&*step)) {
          x.on_answer(question->id, no_answer{}, now);
          if (++asked == 8)
            first.push_back(now);
        } else {
          x.on_watch_end(now);
        }
      }
    CHECK(asked > 60);
    CHECK(asked < 500);
  }
  std::sort(first.begin(), first.end());
  CHECK(std::unique(first.begin(), first.end()) - first.begin() > 15);
}

TEST_CASE("an operator's place comes before the order of names", "[ownership]") {
  std::vector<std::string> nodes{"a", "b", "c"};
  CHECK(rank_of("a", nodes, "") == 0);
  CHECK(rank_of("c", nodes, "") == 2);
  CHECK(rank_of("x", nodes, "") == 3);
  CHECK(rank_of("c", nodes, "c") == 0);
  CHECK(rank_of("a", nodes, "c") == 1);
  CHECK(rank_of("b", nodes, "c") == 2);
  CHECK(rank_of("c", nodes, "b") == 2);
  CHECK(rank_of("x", nodes, "b") == 3);
  CHECK(rank_of("b", nodes, "x") == 1);
  CHECK(wait_of(0, 3) == 0ms);
  for (std::size_t n = 2; n < 100; ++n)
    for (std::size_t i = 1; i < n; ++i) {
      CHECK(wait_of(i, n) >= 100ms);
      CHECK(wait_of(i, n) <= 200ms);
      CHECK(wait_of(i, n) >= wait_of(i - 1, n));
    }
}

} // namespace modelforge::ownership_test
