#include "tests/dispatch/dispatcher_bench.hpp"

#include <catch2/catch_test_macros.hpp>

#include <vector>

namespace modelforge::dispatcher_test {

// -- across a restart ---------------------------------------------------------------

TEST_CASE("dispatcher wants its journal written before it exceeds what that allows", "[dispatch]") {
  bench b{settings_of(600, {})};
  b.x.keep_journal(true);
  REQUIRE_FALSE(b.x.accept(offer(1), b.now));
  auto step = b.x.next(b.now);
  REQUIRE(step);
  REQUIRE(std::holds_alternative<dispatcher::save>(*step));
  step = b.x.next(b.now); // it insists
  REQUIRE(std::holds_alternative<dispatcher::save>(*step));
  auto journal = b.x.journal(b.now);
  REQUIRE(journal.size() == 1);
  CHECK(journal[0].live.empty());
  auto allowed = journal[0].open[0];
  CHECK(allowed >= 1);
  CHECK(allowed <= 20); // two seconds of the rate
  for (uint64_t i = 2; i <= 100; ++i)
    REQUIRE_FALSE(b.x.accept(offer(i), b.now));
  uint64_t sent = 0;
  while (std::holds_alternative<dispatcher::dispatch>(*(step = b.x.next(b.now))))
    ++sent;
  CHECK(sent == allowed);
  CHECK(std::holds_alternative<dispatcher::save>(*step));
  journal = b.x.journal(b.now);
  CHECK(journal[0].open[0] >= sent + 1); // what is under way, and what comes
  CHECK(b.serve().size() == 99 - sent + 1);
  b.now += dispatcher::journal_time; // what it allows it allows for so long
  auto saves = b.saves;
  b.take(offer(200));
  CHECK(b.saves == saves + 1);
}

TEST_CASE("dispatcher without limits writes no journal", "[dispatch]") {
  bench b{settings_of({}, {})};
  b.x.keep_journal(true);
  CHECK(b.take(offer(1)) == list{1});
  CHECK(b.saves == 0);
  CHECK(b.x.journal(b.now).empty());
}

TEST_CASE("dispatcher's journal allows a request that is larger than its part of the limit", "[dispatch]") {
  bench b{settings_of({}, 1000)};
  b.x.keep_journal(true);
  CHECK(b.take(offer(1, 1000)) == list{1});
  CHECK(b.saves == 1);
}

TEST_CASE("dispatcher's journal allows what is guessed to take more than the limit", "[dispatch]") {
  bench b{settings_of({}, 1000)};
  b.x.keep_journal(true);
  CHECK(b.take(offer(1, 5000)) == list{1});
  CHECK(b.saves == 1);
}

TEST_CASE("dispatcher's last journal allows nothing more", "[dispatch]") {
  bench b{settings_of(600, {})};
  b.x.keep_journal(true);
  b.take(offer(1));
  auto journal = b.x.journal(b.now, true);
  REQUIRE(journal.size() == 1);
  CHECK(journal[0].open == limits::amounts{});
  REQUIRE(journal[0].live.size() == 1);
  CHECK(journal[0].live[0].amount[0] == 1);
  auto saves = b.saves;
  CHECK(b.take(offer(2)) == list{2});
  CHECK(b.saves == saves + 1);
}

TEST_CASE("dispatcher takes over what was charged before a restart, by its age", "[dispatch]") {
  auto settings = settings_of({}, 1000);
  std::vector<dispatcher::journal_lane> kept{
    {0, 0, {{10s, {1, 100, 0, 0}}, {40s, {1, 200, 0, 0}}, {60s + 50ms, {1, 400, 0, 0}}}, {1, 50, 0, 0}},
    {1, 0, {{60s, {1, 1000, 0, 0}}}, {}}, // of lanes that are no more
    {0, 3, {{60s, {1, 1000, 0, 0}}}, {}},
  };
  bench b{settings};
  auto live_after = [&](limits::duration d) {
    b.now = start + d;
    return b.live();
  };
  SECTION("at once") {
    b.x.restore(kept, 0s, b.now);
    CHECK(b.live() == 750);
    CHECK(live_after(10s) == 650);
    CHECK(live_after(40s) == 450);
    CHECK(live_after(60s + 50ms - 1ns) == 450);
    CHECK(live_after(60s + 50ms) == 0);
  }
  SECTION("after a while") {
    b.x.restore(kept, 15s, b.now);
    CHECK(b.live() == 650);
    CHECK(live_after(25s) == 450);
    CHECK(live_after(45s + 50ms) == 50); // under way then: nobody knows when it was written
    CHECK(live_after(60s + 50ms) == 0);
  }
  SECTION("after a long time") {
    b.x.restore(kept, 10h, b.now);
    CHECK(b.live() == 50);
  }
  SECTION("by a clock that was set back") {
    b.x.restore(kept, -10h, b.now);
    CHECK(b.live() == 750);
    CHECK(live_after(60s + 50ms) == 0);
  }
  SECTION("with a time that cannot be") {
    kept[0].live[0].left = 1000h;
    b.x.restore(kept, 0s, b.now);
    CHECK(live_after(61s + 50ms) == 0);
  }
}

TEST_CASE("dispatcher counts its windows as full when it is told so", "[dispatch]") {
  auto settings = settings_of(10, {});
  settings.keys = 2;
  bench b{settings};
  b.x.fill_windows(b.now);
  CHECK(b.take(offer(1)) == list{});
  CHECK(b.wake() == list{1});
  CHECK(b.now == start + 60s + 50ms);
}

TEST_CASE("dispatcher restarted from its journal stays within the window", "[dispatch]") {
  auto settings = settings_of(60, {});
  bench a{settings};
  a.x.keep_journal(true);
  std::vector<dispatcher::journal_lane> kept;
  std::vector<time_point> sent;
  time_point saved{};
  auto run = [&](dispatcher& x, time_point now, uint64_t first) {
    for (uint64_t i = 0; i < 60; ++i)
      REQUIRE_FALSE(x.accept(offer(first + i), now));
    while (auto step = x.next(now)) {
      if (auto* send = std::get_if<dispatcher::dispatch>(&*step)) {
        sent.push_back(now);
        x.written(send->attempt, now);
      } else {
        kept = x.journal(now);
        saved = now;
      }
    }
  };
  run(a.x, start, 1);
  CHECK(sent.size() == 60);
  auto now = start + 2s; // killed without a word
  dispatcher second{settings, 2};
  second.keep_journal(true);
  second.restore(kept, now - saved, now);
  run(second, now, 1000);
  CHECK(sent.size() == 60);
  auto wake = second.wake_at(now);
  REQUIRE(wake);
  CHECK(*wake >= start + 60s);
  CHECK(*wake <= now + 61s);
}

} // namespace modelforge::dispatcher_test
