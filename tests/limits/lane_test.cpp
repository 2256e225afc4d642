#include "limits/lane.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <string>
#include <vector>

namespace modelforge::lane_test {

using namespace modelforge::limits;
using namespace std::chrono_literals;

namespace {

const time_point start{1000s};
const auto never = time_point::max();

constexpr auto interactive = priority::interactive;
constexpr auto batch = priority::batch;

lane_settings settings_of(std::optional<uint64_t> requests, std::optional<uint64_t> tokens, uint32_t slots = 1000) {
  lane_settings x;
  x.limits.per_minute = {requests, tokens, {}, {}};
  x.limits.burst = 1'000'000;
  x.max_concurrent = slots;
  return x;
}

charge of(uint64_t tokens) {
  charge x;
  at(x.arriving, dimension::tokens) = tokens;
  return x;
}

/// Sends, and is answered at once.
void call(lane& x, const charge& what, time_point now, const lane::ending& how = {.result = outcome::success}) {
  auto t = x.start(what, interactive, now);
  x.written(t, now);
  x.end(t, how, now);
}

} // namespace

TEST_CASE("lane leaves slots to interactive requests", "[limits][lane]") {
  auto settings = settings_of({}, {}, 3);
  settings.interactive_slots = 1;
  lane x{settings};
  auto a = x.start(of(1), batch, start);
  CHECK(x.ready(of(1), batch, start).at == start);
  auto b = x.start(of(1), batch, start);
  CHECK(x.ready(of(1), batch, start).at == never);
  CHECK(x.ready(of(1), batch, start).why == wait_reason::slot);
  CHECK(x.ready(of(1), interactive, start).at == start);
  auto c = x.start(of(1), interactive, start);
  CHECK(x.ready(of(1), interactive, start).at == never);
  CHECK(x.in_flight() == 3);
  x.abandon(a, start);
  CHECK(x.in_flight() == 2);
  CHECK(x.ready(of(1), batch, start).at == start);
  x.end(a, {}, start); // gives no second slot back
  CHECK(x.in_flight() == 2);
  x.end(b, {}, start);
  x.end(c, {}, start);
  CHECK(x.in_flight() == 0);
}

TEST_CASE("lane with a single slot gives it to batch items too", "[limits][lane]") {
  auto settings = settings_of({}, {}, 1);
  settings.interactive_slots = 5;
  lane x{settings};
  CHECK(x.ready(of(1), batch, start).at == start);
  auto charge = of(1);
  CHECK(x.ready(of(1), batch, start, &charge).at == never);
}

TEST_CASE("lane waits for what holds it longest, and names it", "[limits][lane]") {
  auto settings = settings_of(1, {});
  settings.breaker = {.consecutive_failures = 1, .failure_share = 0, .open_for = 100s};
  lane x{settings};
  CHECK(x.ready(of(1), interactive, start).why == wait_reason::nothing);
  call(x, of(1), start);
  auto ready = x.ready(of(1), interactive, start);
  CHECK(ready.at == start + 60s + 50ms);
  CHECK(ready.why == wait_reason::rate_limit);
  x.pause({}, 70s, start);
  x.pause({}, 30s, start); // an earlier pause shortens nothing
  ready = x.ready(of(1), interactive, start);
  CHECK(ready.at == start + 70s);
  CHECK(ready.why == wait_reason::server_wait);
  CHECK(x.paused_until() == start + 70s);
  call(x, of(1), start + 70s, {.result = outcome::failure});
  ready = x.ready(of(1), interactive, start + 70s);
  CHECK(ready.at == start + 170s);
  CHECK(ready.why == wait_reason::breaker);
  auto probe = x.start(of(1), interactive, start + 170s);
  ready = x.ready(of(1), interactive, start + 170s);
  CHECK(ready.at == never);
  CHECK(ready.why == wait_reason::breaker);
  x.abandon(probe, start + 170s); // gives the probe's place back
  CHECK(x.ready(of(1), interactive, start + 170s).why == wait_reason::rate_limit);
  x.end(probe, {.written = false}, start + 171s); // and its charge
  CHECK(x.ready(of(1), interactive, start + 171s).at == start + 171s);
}

TEST_CASE("lane tells how a request's leaving would move another's", "[limits][lane]") {
  lane x{settings_of({}, 100)};
  call(x, of(60), start);
  auto small = of(10), fitting = of(1);
  CHECK(x.ready(of(50), interactive, start).at == start + 60s + 50ms);
  CHECK(x.ready(of(40), interactive, start, &small).at == start + 60s + 50ms);
  CHECK(x.ready(of(39), interactive, start, &fitting).at == start);
  CHECK(x.ready(of(50), interactive, start, &small).at == start + 60s + 50ms);
  auto most = of(40);
  CHECK(x.ready(of(61), interactive, start + 1s, &most).at > start + 60s + 50ms);
}

TEST_CASE("lane's breaker judges a probe when its answer begins", "[limits][lane]") {
  using state = circuit_breaker::state;
  auto settings = settings_of({}, {});
  settings.breaker = {.consecutive_failures = 1, .failure_share = 0, .slow_after = 5s, .open_for = 10s, .probes = 2};
  lane x{settings};
  call(x, of(1), start, {.result = outcome::failure});
  auto now = start + 10s;
  auto a = x.start(of(1), interactive, now);
  auto b = x.start(of(1), interactive, now);
  now += 4s;
  x.begun(a, now);
  x.begun(a, now); // counts once
  SECTION("it closes while the answers go on, however long they take") {
    x.begun(b, now);
    CHECK(x.breaker().current(now) == state::closed);
    CHECK(x.in_flight() == 2);
    now += 100s;
    x.end(a, {.result = outcome::success}, now);
    x.end(b, {.result = outcome::success}, now);
    CHECK(x.breaker().current(now) == state::closed);
    CHECK(x.in_flight() == 0);
  }
  SECTION("a late beginning is slow") {
    x.begun(b, now + 2s);
    CHECK(x.breaker().current(now + 2s) == state::open);
  }
  SECTION("an answer that is no longer wanted keeps its success") {
    auto gone = GENERATE(true, false);
    if (gone)
      x.abandon(a, now);
    x.end(a, {.result = outcome::neutral}, now);
    CHECK(x.breaker().ready_at(now) == never); // both places are taken still
    x.begun(b, now);
    CHECK(x.breaker().current(now) == state::closed);
  }
  SECTION("an answer that breaks off is a failure") {
    x.end(a, {.result = outcome::failure}, now);
    CHECK(x.breaker().current(now) == state::open);
  }
  SECTION("a request that was given up tells nothing") {
    x.abandon(b, now);
    x.begun(b, now);
    CHECK(x.breaker().current(now) == state::half_open);
  }
}

TEST_CASE("lane's breaker counts an answer once, unless it breaks off", "[limits][lane]") {
  auto settings = settings_of({}, {});
  settings.breaker = {.consecutive_failures = 0, .failure_share = 0.5, .min_samples = 100};
  lane x{settings};
  auto one = [&](outcome how) {
    auto t = x.start(of(1), interactive, start);
    x.begun(t, start);
    x.end(t, {.result = how}, start);
  };
  call(x, of(1), start, {.result = outcome::failure});
  one(outcome::success);
  CHECK(x.breaker().failure_share(start) == 0.5);
  one(outcome::neutral);
  CHECK(x.breaker().failure_share(start) == 1.0 / 3);
  one(outcome::failure);
  CHECK(x.breaker().failure_share(start) == 2.0 / 5);
}

TEST_CASE("lane's slots follow the time to the beginning of an answer, not its length", "[limits][lane]") {
  auto slots_after = [](bool begins) {
    auto settings = settings_of({}, {}, 64);
    settings.adaptive = true;
    lane x{settings};
    auto now = start;
    for (int round = 0; round < 100; ++round) {
      std::vector<lane::attempt> attempts;
      while (x.ready(of(1), interactive, now).at <= now)
        attempts.push_back(x.start(of(1), interactive, now));
      now += 100ms;
      for (auto& a : attempts)
        if (begins)
          x.begun(a, now);
      now += round * 100ms; // as if more and more waited at the provider
      for (auto& a : attempts)
        x.end(a, {.result = outcome::success, .output_tokens = 10}, now);
    }
    return x.slots();
  };
  CHECK(slots_after(true) == 64);
  CHECK(slots_after(false) < 32);
}

TEST_CASE("lane tightens its limits by what answers tell, and never loosens them", "[limits][lane]") {
  lane x{settings_of(100, {})};
  auto tell = [&](uint64_t requests, uint64_t tokens) {
    lane::ending how{.result = outcome::success};
    how.told[0].limit = requests;
    how.told[1].limit = tokens;
    call(x, of(10), start, how);
  };
  auto told = [&](dimension d) -> std::optional<uint64_t> {
    for (auto& each : x.told(start))
      if (each.of == d)
        return each.limit;
    return {};
  };
  tell(1000, 500);
  CHECK(x.limit(dimension::requests) == 100);
  CHECK_FALSE(told(dimension::requests)); // no tighter than what is configured
  CHECK(told(dimension::tokens) == 500);  // where none is
  tell(50, 800);
  CHECK(told(dimension::requests) == 50);
  CHECK(told(dimension::tokens) == 800);
  tell(80, 800);
  CHECK(told(dimension::requests) == 80);
  CHECK(x.told(start)[1].used == 30);
  CHECK(x.ready(of(771), interactive, start).at == start + 60s + 50ms); // what went before counts
  CHECK(x.ready(of(771), interactive, start).only_model);
  CHECK(x.ready(of(770), interactive, start).at == start);
}

TEST_CASE("lane learns limits for the model that was asked, and forgets them", "[limits][lane]") {
  lane x{settings_of({}, {})};
  auto a = x.start(of(100), interactive, start, "small");
  lane::ending how{.result = outcome::success};
  how.told[1] = {500, 0, 1h};
  x.end(a, how, start);
  CHECK(x.ready(of(30'000), interactive, start, nullptr, "large").at == start);
  auto ready = x.ready(of(100), interactive, start, nullptr, "small");
  CHECK(ready.at == start + 12s); // refilled at 500 a minute
  CHECK(ready.why == wait_reason::rate_limit);
  CHECK(ready.only_model);
  auto huge = x.ready(of(30'000), interactive, start, nullptr, "small");
  CHECK(huge.at <= start + 180s); // delayed, never refused
  CHECK(huge.told == start + 1h);
  amounts none{};
  auto huge_cost = of(30'000);
  CHECK(x.predict({huge_cost, interactive, none, "small", none}, start) == start + 1h);
  CHECK(x.predict({huge_cost, interactive, none, "large", none}, start) == start);
  x.reconfigure(settings_of({}, {}));
  CHECK(x.told(start + 179s).size() == 1);
  CHECK(x.told(start + 180s).empty());
  CHECK(x.ready(of(30'000), interactive, start + 180s, nullptr, "small").at == start + 180s);
}

TEST_CASE("lane's limit that is told once and never confirmed stops nothing for long", "[limits][lane]") {
  lane x{settings_of({}, {})};
  lane::ending how{.result = outcome::success};
  for (auto& each : how.told)
    each.limit = 1;
  call(x, of(100), start, how);
  CHECK(x.ready(of(100), interactive, start).at <= start + 61s); // alone, when the window is empty
  CHECK(x.ready(of(100), interactive, start + 180s).at == start + 180s);
  call(x, of(100), start + 180s);
  CHECK(x.ready(of(100), interactive, start + 180s).at == start + 180s);
}

TEST_CASE("lane believes no limit that the answered request itself exceeds", "[limits][lane]") {
  lane x{settings_of({}, {})};
  lane::ending how{.result = outcome::success, .real = of(100)};
  how.told[1] = {1, 0, 1h};
  call(x, of(100), start, how);
  CHECK(x.told(start).empty());
  CHECK(x.ready(of(100), interactive, start).at == start);
}

TEST_CASE("lane forgets models that are not asked any more", "[limits][lane]") {
  lane x{settings_of({}, {})};
  lane::ending how{.result = outcome::success};
  how.told[0].limit = 1000;
  auto now = start;
  auto first = x.start(of(1), interactive, now, "first"); // under way meanwhile
  for (int i = 0; i < 1000; ++i, now += 1ms) {
    auto t = x.start(of(1), interactive, now, "model " + std::to_string(i));
    x.end(t, how, now);
    REQUIRE(x.told(now).size() <= lane::max_models);
  }
  x.end(first, how, now);
  CHECK(x.told(now).size() >= lane::max_models / 2);
}

TEST_CASE("lane believes a server's wait for a time, then one request finds out", "[limits][lane]") {
  auto settings = settings_of({}, {});
  settings.max_server_wait = {100s, 1000s};
  lane x{settings};
  auto year = 24h * 365;
  auto a = x.start(of(1), interactive, start);
  x.pause(a, year, start);
  x.end(a, {}, start);
  auto ready = x.ready(of(1), interactive, start);
  CHECK(ready.at == start + 100s);
  CHECK(ready.why == wait_reason::server_wait);
  CHECK(ready.told == start + year);
  CHECK(x.ready(of(1), batch, start).at == start + 1000s);
  amounts none{};
  auto cost = of(1);
  CHECK(x.predict({cost, interactive, none, {}, none}, start) == start + year);
  auto now = start + 100s;
  CHECK(x.predict({cost, interactive, none, {}, none}, now) == now); // it may find out
  auto probe = x.start(of(1), interactive, now);
  CHECK(x.ready(of(1), interactive, now).at == start + year); // one at a time
  CHECK(x.predict({cost, interactive, none, {}, none}, now) == start + year);
  SECTION("it succeeds: the pause is over for all") {
    x.end(probe, {.result = outcome::success}, now + 1s);
    CHECK(x.ready(of(1), interactive, now + 1s).at == now + 1s);
    CHECK(x.ready(of(1), batch, now + 1s).at == now + 1s);
    CHECK(x.paused_until() <= now);
  }
  SECTION("it begins to be answered: so it is") {
    x.begun(probe, now + 1s);
    CHECK(x.ready(of(1), batch, now + 1s).at == now + 1s);
  }
  SECTION("it is told to wait again, less: that counts") {
    x.pause(probe, 5s, now + 1s);
    x.end(probe, {}, now + 1s);
    CHECK(x.ready(of(1), batch, now + 1s).at == now + 6s);
  }
  SECTION("it is told to wait as long: it is believed anew") {
    x.pause(probe, year, now + 1s);
    x.end(probe, {}, now + 1s);
    CHECK(x.ready(of(1), interactive, now + 1s).at == now + 101s);
  }
  SECTION("it is refused without a word: so it is") {
    x.end(probe, {.overloaded = true}, now + 1s);
    CHECK(x.ready(of(1), interactive, now + 1s).at == now + 101s);
  }
  SECTION("it is cancelled: another one finds out") {
    x.abandon(probe, now + 1s);
    CHECK(x.ready(of(1), interactive, now + 1s).at == now + 1s);
    x.end(probe, {.written = false}, now + 2s);
    CHECK(x.ready(of(1), interactive, now + 2s).at == now + 2s);
  }
}

TEST_CASE("lane waits for what remains by the answers", "[limits][lane]") {
  lane x{settings_of(60, {})};
  lane::ending how{.result = outcome::success};
  how.told[0] = {60, 0, 60s};
  call(x, of(1), start, how);
  auto ready = x.ready(of(1), interactive, start);
  CHECK(ready.at == start + 1s);
  CHECK(ready.why == wait_reason::rate_limit);
  auto before = of(1);
  CHECK(x.ready(of(1), interactive, start, &before).at == start + 2s);
}

TEST_CASE("lane takes a charge back only if nothing was written", "[limits][lane]") {
  lane x{settings_of(2, {})};
  auto a = x.start(of(1), interactive, start);
  auto b = x.start(of(1), interactive, start);
  CHECK(x.ready(of(1), interactive, start).at > start);
  x.end(a, {.written = false}, start);
  CHECK(x.ready(of(1), interactive, start).at == start);
  x.end(b, {.written = true}, start);
  auto c = x.start(of(1), interactive, start);
  x.written(c, start);
  x.end(c, {.written = false}, start + 1s); // it was: the limiter knows better
  CHECK(x.limiter().live(start + 1s)[0] == 2);
}

TEST_CASE("lane's share is the largest part of a limit", "[limits][lane]") {
  CHECK(lane{settings_of({}, {})}.share(of(100)) == 1);
  CHECK(lane{settings_of(100, 1000)}.share(of(5)) == 0.01);
  CHECK(lane{settings_of(100, 1000)}.share(of(500)) == 0.5);
}

TEST_CASE("lane's credential is out until the latest time", "[limits][lane]") {
  lane x{settings_of({}, {})};
  CHECK_FALSE(x.is_out(start));
  x.take_out(start + 10s);
  x.take_out(start + 5s);
  CHECK(x.is_out(start + 10s - 1ns));
  CHECK_FALSE(x.is_out(start + 10s));
}

} // namespace modelforge::lane_test
