#include "tests/dispatch/dispatcher_bench.hpp"

#include <catch2/catch_test_macros.hpp>

namespace modelforge::dispatcher_test {

// -- retries ------------------------------------------------------------------------

TEST_CASE("dispatcher never exceeds max_attempts, and counts them", "[dispatch]") {
  bench b{settings_of({}, {})};
  b.take(offer(1));
  CHECK(b.sent[1].number == 1);
  CHECK(b.end(1, failed(errc::server_error)).then == what::again);
  CHECK(b.x.state().waiting == 1);
  CHECK(b.x.state().queued_bytes == 10);
  CHECK(b.wake() == list{1});
  CHECK(b.sent[1].number == 2);
  CHECK(b.sent[1].waited_for == wait_reason::backoff);
  CHECK(b.end(1, failed(errc::connection_lost, 0)).then == what::again);
  CHECK(b.wake() == list{1});
  CHECK(b.sent[1].number == 3);
  auto last = b.end(1, failed(errc::overloaded, 529));
  CHECK(last.then == what::answer);
  CHECK(last.code == errc::overloaded);
  CHECK(b.x.empty());
  CHECK(b.x.counts().attempts == 3);
  CHECK(b.x.counts().failed == 1);
  CHECK(b.x.counts().retries[static_cast<std::size_t>(retry::meaning::transient)] == 1);
  CHECK(b.x.counts().retries[static_cast<std::size_t>(retry::meaning::uncertain)] == 1);
  CHECK(b.end(1).then == what::nobody); // told twice
}

TEST_CASE("dispatcher counts the attempts that were made elsewhere", "[dispatch]") {
  for (uint32_t spent = 0; spent < 3; ++spent) {
    INFO(spent << " spent");
    bench b{settings_of({}, {})};
    auto o = offer(1);
    o.spent = spent;
    b.take(o);
    for (auto number = spent + 1; number <= 3; ++number) {
      CHECK(b.sent[1].number == number);
      auto end = b.end(1, failed(errc::server_error));
      REQUIRE(end.then == (number < 3 ? what::again : what::answer));
      if (number < 3)
        REQUIRE(b.wake() == list{1});
    }
    CHECK(b.x.counts().attempts == 3 - spent);
  }
}

TEST_CASE("dispatcher gives a retry its old place in the queue", "[dispatch]") {
  bench b{settings_of({}, {}, 1)};
  for (uint64_t i = 1; i <= 4; ++i)
    b.take(offer(i));
  b.end(1, failed(errc::server_error));
  CHECK(b.serve() == list{2});
  b.now += 1s;
  CHECK(b.serve() == list{});
  b.end(2);
  CHECK(b.serve() == list{1});
}

TEST_CASE("dispatcher obeys a server's wait, and pauses the lane for it", "[dispatch]") {
  auto settings = settings_of({}, {});
  settings.wait_on_empty_budget = {false, false};
  bench b{settings};
  for (uint64_t i = 1; i <= 20; ++i)
    b.take(offer(i));
  for (uint64_t i = 1; i <= 20; ++i)
    CHECK(b.end(i, failed(errc::rate_limited, 429, 3s)).then == what::again);
  CHECK(b.lane().paused_until() == start + 3s);
  CHECK(b.take(offer(100)) == list{});
  CHECK(b.serve() == list{});
  b.now = start + 3s - 1ns;
  CHECK(b.serve() == list{});
  b.now = start + 3s;
  CHECK(b.serve().front() == 100);
  b.now = start + 3s + 50ms;
  b.serve();
  CHECK(b.x.counts().attempts == 41); // all of them: they cost no budget
  CHECK(b.given_up.empty());
  for (uint64_t i = 1; i <= 20; ++i)
    CHECK(b.sent[i].number == 2);
}

TEST_CASE("dispatcher pauses a lane until the later of two times", "[dispatch]") {
  bench b{settings_of({}, {})};
  b.take(offer(1));
  b.take(offer(2));
  b.end(1, failed(errc::rate_limited, 429, 10s));
  b.now += 1s;
  b.end(2, failed(errc::rate_limited, 429, 2s));
  CHECK(b.lane().paused_until() == start + 10s);
}

TEST_CASE("dispatcher pauses a lane for a wait, though the provider wants no retry", "[dispatch]") {
  bench b{settings_of({}, {})};
  b.take(offer(1));
  auto how = failed(errc::rate_limited, 429, 10s);
  how.failed->should_retry = false;
  CHECK(b.end(1, how).then == what::answer);
  CHECK(b.take(offer(2)) == list{});
  CHECK(b.wake() == list{2});
  CHECK(b.now == start + 10s);
}

TEST_CASE("dispatcher's breaker counts a failing provider, though it wants no retries", "[dispatch]") {
  auto settings = settings_of({}, {});
  settings.groups[0].breaker = {.consecutive_failures = 5, .failure_share = 0};
  bench b{settings};
  auto how = failed(errc::server_error, 503);
  how.failed->should_retry = false;
  for (uint64_t i = 1; i <= 5; ++i) {
    b.take(offer(i));
    b.end(i, how);
  }
  CHECK(b.lane().breaker().current(b.now) == limits::circuit_breaker::state::open);
}

TEST_CASE("dispatcher ends a request whose wait is too long, and tells the wait", "[dispatch]") {
  bench b{settings_of({}, {})};
  auto o = offer(1);
  o.deadline = start + 30s;
  b.take(o);
  auto end = b.end(1, failed(errc::rate_limited, 429, 3600s));
  CHECK(end.then == what::answer);
  CHECK(end.id == id(1));
  CHECK(end.code == errc::rate_limited);
  CHECK(end.wait == limits::duration{3600s});
  CHECK(b.x.empty());
  o.id = id(2); // nor is another one taken that would wait as long
  auto no = b.refused(o);
  CHECK(no.why == reason::predicted_wait);
  CHECK(no.wait == limits::duration{3600s});
}

TEST_CASE("dispatcher fails or keeps a retry that finds the budget empty", "[dispatch]") {
  bench b{settings_of({}, {})};
  for (uint64_t i = 1; i <= 20; ++i)
    b.take(offer(i, 1, i <= 10 ? interactive : batch));
  for (uint64_t i = 1; i <= 20; ++i)
    b.end(i, failed(errc::server_error));
  while (b.x.state().waiting > 0 && b.now < start + 60s)
    b.wake();
  CHECK(b.given_up.size() + b.x.counts().attempts - 20 == 20);
  CHECK(b.given_up.size() >= 4); // 0.2 x 20 + 2 for all of them, and a little that time brought
  for (auto& [request, end] : b.given_up) {
    CHECK(request <= 10); // interactive ones fail, batch items wait
    CHECK(end.why.why == reason::empty_budget);
    CHECK(end.attempt == 0);
  }
  CHECK(b.now > start + 3s);
}

TEST_CASE("dispatcher wakes a retry for the budget, though another one waits for its lane", "[dispatch]") {
  auto settings = settings_of({}, {});
  settings.groups.push_back(settings.groups[0]);
  settings.wait_on_empty_budget = {true, true};
  bench b{settings};
  for (uint64_t i = 1; i <= 7; ++i) {
    auto o = offer(i);
    o.group = i < 7 ? 0 : 1;
    b.take(o);
  }
  b.take(offer(9));
  b.end(9, failed(errc::rate_limited, 429, 100s)); // group 0 is paused
  for (uint64_t i = 1; i <= 6; ++i)
    b.end(i, failed(errc::server_error));
  while (b.x.wake_at(b.now) < start + 600ms)
    b.wake();
  b.now = start + 600ms;
  b.end(7, failed(errc::server_error));
  while (b.x.wake_at(b.now) < start + 20s)
    b.wake();
  CHECK(b.sent[7].number == 2);
}

// -- keys and groups ----------------------------------------------------------------

TEST_CASE("dispatcher uses the key that is ready first", "[dispatch]") {
  auto settings = settings_of(2, {});
  settings.keys = 2;
  bench b{settings};
  b.take(offer(1));
  b.now += 1s;
  b.take(offer(2));
  CHECK(b.sent[1].key != b.sent[2].key); // the one with less in flight
  b.take(offer(3));
  b.take(offer(4));
  CHECK(b.take(offer(5)) == list{});
  CHECK(b.wake() == list{5});
  CHECK(b.now == start + 60s + 50ms);
  CHECK(b.sent[5].key == b.sent[1].key);
}

TEST_CASE("dispatcher takes a refused key out of all groups, and goes on with another one", "[dispatch]") {
  for (auto code : {errc::authentication, errc::quota_exhausted}) {
    auto settings = settings_of({}, {});
    settings.groups.push_back(settings.groups[0]);
    settings.keys = 2;
    bench b{settings};
    b.take(offer(1));
    auto bad = b.sent[1].key;
    CHECK(b.end(1, failed(code, 401)).then == what::again);
    CHECK(b.serve() == list{1}); // at once
    CHECK(b.sent[1].number == 2);
    CHECK(b.sent[1].key == 1 - bad);
    CHECK(b.lane(0, bad).is_out(b.now));
    CHECK(b.lane(1, bad).is_out(b.now));
    for (uint64_t i = 10; i < 20; ++i) {
      auto o = offer(i);
      o.group = i % 2;
      b.take(o);
      CHECK(b.sent[i].key == 1 - bad);
      CHECK(b.sent[i].group == i % 2);
    }
    auto last = b.end(1, failed(code, 401)); // the other one, too: nothing is left to try
    CHECK(last.then == what::answer);
    CHECK(last.code == code);
    CHECK(b.take(offer(30)) == list{30}); // the provider is not out: somebody has to find out
    b.now = start + settings.key_pause;
    CHECK_FALSE(b.lane(0, bad).is_out(b.now));
  }
}

TEST_CASE("dispatcher leaves a provider's only key in", "[dispatch]") {
  bench b{settings_of({}, {})};
  b.take(offer(1));
  CHECK(b.end(1, failed(errc::authentication, 401)).then == what::answer);
  CHECK(b.take(offer(2)) == list{2});
}

TEST_CASE("dispatcher makes no more attempts than it may, however many keys there are", "[dispatch]") {
  auto settings = settings_of({}, {});
  settings.keys = 5;
  bench b{settings};
  b.take(offer(1));
  for (int i = 0; i < 2; ++i) {
    CHECK(b.end(1, failed(errc::authentication, 401)).then == what::again);
    CHECK(b.serve() == list{1});
  }
  CHECK(b.end(1, failed(errc::authentication, 401)).then == what::answer);
  CHECK(b.x.counts().attempts == 3);
}

TEST_CASE("dispatcher counts a breaker as open if the other keys are out", "[dispatch]") {
  auto settings = settings_of({}, {});
  settings.keys = 2;
  settings.groups[0].breaker = {.consecutive_failures = 1, .failure_share = 0, .open_for = 10s};
  bench b{settings};
  b.take(offer(1));
  b.end(1, failed(errc::authentication, 401));
  CHECK(b.serve() == list{1});
  b.end(1, failed(errc::invalid_request, 400));
  b.take(offer(2));
  b.end(2, failed(errc::server_error)); // the breaker of the key that is left opens
  auto no = b.x.accept(offer(3), b.now);
  REQUIRE(no);
  CHECK(no->why == reason::circuit_open);
  CHECK(no->wait == limits::duration{10s});
}

TEST_CASE("dispatcher keeps groups apart", "[dispatch]") {
  auto settings = settings_of(1, {});
  settings.groups.push_back(settings.groups[0]);
  bench b{settings};
  b.take(offer(1));
  CHECK(b.take(offer(2)) == list{});
  auto o = offer(3);
  o.group = 1;
  CHECK(b.take(o) == list{3});
  CHECK(b.x.groups() == 2);
}

} // namespace modelforge::dispatcher_test
