#include "limits/lane.hpp"

#include <catch2/catch_test_macros.hpp>

using namespace modelforge;
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
  x.pause(start + 70s);
  x.pause(start + 30s); // an earlier pause shortens nothing
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

TEST_CASE("lane tightens its limits by what answers tell, and never loosens them", "[limits][lane]") {
  lane x{settings_of(100, {})};
  auto tell = [&](uint64_t requests, uint64_t tokens) {
    lane::ending how{.result = outcome::success};
    how.told[0].limit = requests;
    how.told[1].limit = tokens;
    call(x, of(10), start, how);
  };
  tell(1000, 500);
  CHECK(x.limit(dimension::requests) == 100);
  CHECK(x.limit(dimension::tokens) == 500); // where none is configured
  CHECK(x.limited(start));
  tell(50, 800);
  CHECK(x.limit(dimension::requests) == 50);
  CHECK(x.limit(dimension::tokens) == 800);
  tell(80, 800);
  CHECK(x.limit(dimension::requests) == 80);                            // up to what is configured
  CHECK(x.ready(of(771), interactive, start).at == start + 60s + 50ms); // what went before counts
  CHECK(x.ready(of(770), interactive, start).at == start);
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
