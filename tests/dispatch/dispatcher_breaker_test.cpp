#include "tests/dispatch/dispatcher_bench.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <map>

namespace modelforge::dispatcher_test {

// -- the breaker --------------------------------------------------------------------

TEST_CASE("dispatcher refuses or keeps new requests while the breaker is open", "[dispatch]") {
  auto settings = settings_of({}, {});
  settings.groups[0].breaker = {.consecutive_failures = 2, .failure_share = 0, .open_for = 10s};
  settings.retry.max_attempts = 1;
  bench b{settings};
  b.take(offer(1));
  b.take(offer(2));
  b.end(1, failed(errc::server_error));
  b.end(2, failed(errc::server_error));
  b.now += 4s;
  auto no = b.refused(offer(3));
  CHECK(no.why == reason::circuit_open);
  CHECK(no.wait == limits::duration{6s});
  auto elsewhere = offer(8, 1, batch);
  elsewhere.fail_when_open = true; // whose asker has another provider
  CHECK(b.refused(elsewhere).why == reason::circuit_open);
  CHECK(b.take(offer(4, 1, batch)) == list{}); // waits
  CHECK(b.take(offer(5, 1, batch)) == list{});
  CHECK(b.wake() == list{4});
  CHECK(b.now == start + 10s);
  CHECK(b.sent[4].waited_for == wait_reason::breaker);
  no = b.refused(offer(6)); // a probe is under way
  CHECK(no.why == reason::circuit_open);
  CHECK_FALSE(no.wait);
  CHECK_FALSE(b.x.wake_at(b.now));
  b.end(4);
  CHECK(b.serve() == list{5});
  CHECK(b.take(offer(7)) == list{7});
}

TEST_CASE("dispatcher fails what is queued when the breaker opens, or keeps it", "[dispatch]") {
  auto settings = settings_of({}, {}, 1);
  settings.groups[0].breaker = {.consecutive_failures = 1, .failure_share = 0, .open_for = 10s};
  settings.retry.max_attempts = 1;
  bench b{settings};
  b.take(offer(1));
  b.take(offer(2));
  auto elsewhere = offer(4, 1, batch);
  elsewhere.fail_when_open = true;
  b.take(elsewhere);
  b.take(offer(3, 1, batch));
  b.end(1, failed(errc::server_error));
  CHECK(b.serve() == list{});
  REQUIRE(b.given_up.size() == 2);
  CHECK(b.given_up.at(4).why.why == reason::circuit_open);
  CHECK(b.given_up.at(2).why.why == reason::circuit_open);
  CHECK(b.given_up.at(2).why.wait == limits::duration{10s});
  CHECK(b.wake() == list{3});
}

TEST_CASE("dispatcher ends retries, too, while the breaker is open", "[dispatch]") {
  auto settings = settings_of({}, {});
  settings.groups[0].breaker = {.consecutive_failures = 5, .failure_share = 0, .open_for = 20s};
  bench b{settings};
  auto is_batch = GENERATE(false, true);
  for (uint64_t i = 1; i <= 8; ++i) {
    auto o = is_batch ? offer(i, 1, batch) : offer(i);
    o.fail_when_open = is_batch;
    CHECK(b.take(o) == list{i});
  }
  for (uint64_t i = 1; i <= 8; ++i) {
    auto end = b.end(i, unwritten(errc::connect_failed));
    CHECK(end.then == (i < 5 ? what::again : what::answer)); // the fifth opens it
    CHECK(end.circuit_open == (i >= 5));
    if (i >= 5)
      CHECK(end.code == errc::connect_failed);
  }
  while (!b.x.empty())
    b.wake();
  CHECK(b.now < start + 1s);
  CHECK(b.given_up.size() == 4);
  for (auto& [number, end] : b.given_up)
    CHECK(end.why.why == reason::circuit_open);
  CHECK(b.x.counts().attempts == 8);
}

TEST_CASE("dispatcher takes no attempt for a probe that fails without having run", "[dispatch]") {
  auto settings = settings_of({}, {});
  settings.groups[0].breaker = {.consecutive_failures = 3, .failure_share = 0, .open_for = 10s};
  bench b{settings};
  for (uint64_t i = 1; i <= 12; ++i)
    b.take(offer(i, 1, batch));
  for (uint64_t i = 1; i <= 12; ++i)
    CHECK(b.end(i, unwritten(errc::connect_failed)).then == what::again);
  auto probes = 0;
  while (b.now < start + 1000s)
    for (auto i : b.wake()) {
      CHECK(b.end(i, unwritten(errc::connect_failed)).then == what::again);
      ++probes;
    }
  CHECK(probes > 50); // the budget for retries holds some back
  std::size_t answered = 0;
  while (!b.x.empty()) // the server is there at last
    for (auto i : b.wake()) {
      answered += b.end(i).then == what::answer;
      b.serve();
      for (uint64_t j = 1; j <= 12; ++j)
        answered += b.x.request_of(b.sent[j].attempt) == id(j) && b.end(j).then == what::answer;
    }
  CHECK(answered == 12);
  CHECK(b.given_up.empty());
}

TEST_CASE("dispatcher takes no attempt of a batch item that was never sent", "[dispatch]") {
  for (auto has_breaker : {true, false}) { // without one nobody would bound it
    INFO("breaker: " << has_breaker);
    auto settings = settings_of({}, {});
    settings.groups[0].breaker = {.enabled = has_breaker, .consecutive_failures = 3, .failure_share = 0};
    bench b{settings};
    b.take(offer(1, 1, batch));
    for (uint64_t attempt = 1; attempt <= 20; ++attempt) {
      INFO("attempt " << attempt);
      auto ends = !has_breaker && attempt == 3;
      REQUIRE(b.end(1, unwritten(errc::connect_failed)).then == (ends ? what::answer : what::again));
      if (ends)
        break;
      b.take(offer(100 + attempt, 1, batch));
      CHECK(b.end(100 + attempt).then == what::answer); // so the breaker stays closed, and this is no probe
      while (b.wake() != list{1})
        REQUIRE(b.now < start + 1h);
    }
  }
}

TEST_CASE("dispatcher counts a probe that may have run", "[dispatch]") {
  auto settings = settings_of({}, {});
  settings.groups[0].breaker = {.consecutive_failures = 1, .failure_share = 0, .open_for = 10s};
  bench b{settings};
  b.take(offer(1, 1, batch));
  auto attempts = 1;
  while (b.end(1, failed(errc::attempt_timeout, 0)).then == what::again) {
    while (b.wake().empty())
      ;
    REQUIRE(++attempts <= 3);
  }
  CHECK(attempts == 3);
}

TEST_CASE("dispatcher's breaker opens where 503 tells of an outage, though one at a time was answered before",
          "[dispatch]") {
  for (auto code : {503, 529}) {
    INFO(code);
    auto settings = settings_of({}, {});
    settings.groups[0].breaker = {.consecutive_failures = 5, .failure_share = 0, .open_for = 2s};
    settings.retry.max_attempts = 1;
    bench b{settings};
    auto is_down = [&] { return b.now >= start + 3s && b.now < start + 23s; };
    uint64_t answered = 0, failed_fast = 0, sent_while_down = 0;
    std::optional<time_point> back;
    auto settle = [&](const list& sent) {
      for (auto i : sent) {
        sent_while_down += is_down();
        if (b.end(i, is_down() ? failed(errc::overloaded, static_cast<uint16_t>(code)) : dispatcher::attempt_end{}).then
            == what::answer) {
          answered += !is_down();
          if (!is_down() && b.now > start + 20s && !back)
            back = b.now;
        }
      }
      return !sent.empty();
    };
    for (uint64_t n = 1; b.now < start + 30s; b.now += 100ms, ++n) {
      if (b.x.accept(offer(n), b.now))
        ++failed_fast;
      while (settle(b.serve()))
        ;
    }
    CHECK(failed_fast > 100); // for 20 s, ten a second
    CHECK(sent_while_down < 30);
    REQUIRE(back);
    CHECK(*back <= start + 25s + 100ms);
    CHECK(b.x.empty());
    CHECK(answered >= 80);
  }
}

TEST_CASE("dispatcher counts a probe that was answered 500, 502 or 504, but not one that was told 503", "[dispatch]") {
  struct {
    errc code;
    uint16_t status;
    bool counts;
  } const cases[] = {{errc::server_error, 500, true},
                     {errc::server_error, 502, true},
                     {errc::server_error, 504, true},
                     {errc::overloaded, 503, false},
                     {errc::overloaded, 529, false}};
  for (auto& [code, status, counts] : cases) {
    INFO(status);
    auto settings = settings_of({}, {});
    settings.groups[0].breaker = {.consecutive_failures = 1, .failure_share = 0, .open_for = 10s};
    bench b{settings};
    b.take(offer(1, 1, batch));
    auto attempts = 1;
    for (; b.end(1, failed(code, status)).then == what::again && attempts < 20; ++attempts)
      while (b.wake().empty())
        ;
    CHECK(attempts == (counts ? 3 : 20));
  }
}

TEST_CASE("dispatcher probes with those that have spent the fewest attempts", "[dispatch]") {
  auto settings = settings_of({}, {});
  settings.groups[0].breaker = {.consecutive_failures = 3, .failure_share = 0, .open_for = 10s};
  bench b{settings};
  for (uint64_t i = 1; i <= 12; ++i)
    b.take(offer(i, 1, batch));
  for (uint64_t i = 1; i <= 12; ++i)
    CHECK(b.end(i, failed(errc::server_error, 502)).then == what::again);
  std::map<uint64_t, int> probes;
  for (auto count = 0; count < 12;) // a server behind a gateway is away: 502 may mean anything
    for (auto i : b.wake()) {
      ++probes[i];
      ++count;
      CHECK(b.end(i, failed(errc::server_error, 502)).then == what::again);
      b.serve();
    }
  CHECK(probes.size() == 12);
  auto answered = 0;
  while (!b.x.empty()) // it is back
    for (auto i : b.wake())
      for (list sent{i}; !sent.empty(); sent = b.serve())
        for (auto j : sent)
          answered += b.end(j).then == what::answer;
  CHECK(answered == 12);
}

TEST_CASE("dispatcher sends at once again what the server has not processed", "[dispatch]") {
  for (auto rank : {interactive, batch}) {
    auto settings = settings_of({}, {});
    settings.groups[0].breaker = {.consecutive_failures = 1, .failure_share = 0, .open_for = 10s};
    settings.retry.max_attempts = 1;
    settings.retry.retry_uncertain = false;
    bench b{settings};
    auto refused = unwritten(errc::connection_lost);
    refused.failed->refused = true;
    for (uint64_t i = 1; i <= 100; ++i)
      CHECK(b.take(offer(i, 1, rank)) == list{i});
    for (uint64_t i = 1; i <= 100; ++i)
      CHECK(b.end(i, refused).then == what::again);
    CHECK(b.serve().size() == 100); // no budget, no breaker, no pause
    CHECK(b.lane().breaker().current(b.now) == limits::circuit_breaker::state::closed);
    CHECK(b.lane().slots() == 1000);
    for (uint64_t i = 2; i <= 100; ++i)
      CHECK(b.end(i).then == what::answer);
    auto sent = 2;
    for (; b.now < start + 600s; ++sent) { // a server that refuses for ever is not stormed
      CHECK(b.end(1, refused).then == what::again);
      while (b.serve().empty() && b.wake().empty())
        ;
    }
    CHECK(sent < 50);
    CHECK(b.end(1).then == what::answer);
  }
}

TEST_CASE("dispatcher says when something is tried next", "[dispatch]") {
  auto settings = settings_of({}, {});
  settings.groups[0].breaker = {.consecutive_failures = 20, .failure_share = 0, .open_for = 10s};
  bench b{settings};
  CHECK_FALSE(b.x.next_try(b.now));
  for (uint64_t i = 1; i <= 20; ++i)
    b.take(offer(i, 1, batch));
  for (uint64_t i = 1; i <= 20; ++i)
    b.end(i, failed(errc::server_error));
  b.now += 5s; // all are due, and neither budget nor breaker lets them go
  for (auto is_served : {false, true}) {
    INFO(is_served);
    if (is_served)
      b.serve();
    CHECK(*b.x.next_try(b.now) - start >= 10s);
    CHECK(*b.x.next_try(b.now) - start < 10s + 10ms);
  }
}

TEST_CASE("dispatcher moves a retry that falls due while the breaker is open to its probe", "[dispatch]") {
  auto settings = settings_of({}, {});
  settings.wait_when_open = {true, true};
  settings.groups[0].breaker = {.consecutive_failures = 1, .failure_share = 0, .open_for = 100s};
  bench b{settings};
  b.take(offer(1));
  CHECK(b.end(1, failed(errc::server_error)).then == what::again);
  while (b.now < start + 100s) {
    CHECK(b.x.counts().attempts == 1);
    CHECK(b.x.state().waiting == 1); // holds neither slot nor budget
    auto sent = b.wake();
    if (!sent.empty())
      break;
  }
  CHECK(b.now == start + 100s + 1ms); // behind those that have spent less
  CHECK(b.sent[1].number == 2);       // it has spent none
  CHECK(b.sent[1].waited_for == wait_reason::breaker);
  b.end(1);
  CHECK(b.lane().breaker().current(b.now) == limits::circuit_breaker::state::closed);
}

TEST_CASE("dispatcher's breaker closes after a thousand cancelled probes", "[dispatch]") {
  auto settings = settings_of({}, {});
  settings.groups[0].breaker = {.consecutive_failures = 1, .failure_share = 0, .open_for = 10s};
  settings.retry.max_attempts = 1;
  bench b{settings};
  b.take(offer(1));
  b.end(1, failed(errc::server_error));
  b.now += 10s;
  for (uint64_t i = 2; i < 1002; ++i) {
    REQUIRE(b.take(offer(i)) == list{i});
    REQUIRE(b.x.withdraw(id(i), b.now) == b.sent[i].attempt);
    b.end(i, failed(errc::cancelled, 0));
  }
  REQUIRE(b.take(offer(5000)) == list{5000});
  b.end(5000);
  CHECK(b.lane().breaker().current(b.now) == limits::circuit_breaker::state::closed);
}

TEST_CASE("dispatcher closes the breaker when a probe's answer begins, and lets the others go", "[dispatch]") {
  auto settings = settings_of({}, {});
  settings.groups[0].breaker = {.consecutive_failures = 1, .failure_share = 0, .open_for = 10s};
  settings.retry.max_attempts = 1;
  bench b{settings};
  b.take(offer(1));
  b.end(1, failed(errc::server_error));
  b.take(offer(2, 1, batch));
  b.take(offer(3, 1, batch));
  CHECK(b.wake() == list{2});
  b.x.begun(b.sent[1].attempt, b.now); // has ended: tells nothing
  CHECK(b.serve() == list{});
  b.x.begun(b.sent[2].attempt, b.now);
  CHECK(b.serve() == list{3});
  CHECK(b.x.state().in_flight == 2);
  CHECK(b.end(2).then == what::answer);
  CHECK(b.lane().breaker().current(b.now) == limits::circuit_breaker::state::closed);
}

TEST_CASE("dispatcher, lane and breaker get over a thousand cancelled probes that queue for the one place",
          "[dispatch]") {
  auto settings = settings_of({}, 10'000, 2);
  settings.groups[0].breaker = {.consecutive_failures = 1, .failure_share = 0, .open_for = 10s};
  bench b{settings};
  b.take(offer(1, 1, batch));
  b.end(1, failed(errc::server_error)); // is parked, and comes back behind those that have spent less
  for (uint64_t i = 2; i <= 1001; ++i)
    CHECK(b.take(offer(i, 1, batch)) == list{});
  list probes;
  for (b.writes = false; probes.size() < 1000;) {
    auto sent = b.serve();
    if (sent.empty())
      sent = b.wake();
    if (sent.empty())
      continue;
    REQUIRE(sent.size() == 1); // one place
    auto i = sent[0];
    probes.push_back(i);
    REQUIRE(b.x.withdraw(id(i), b.now) == b.sent[i].attempt);
    if (i % 2 == 0)
      b.end(i, unwritten());
    else
      b.end(i, failed(errc::cancelled, 0));
  }
  CHECK(b.lane().breaker().current(b.now) == limits::circuit_breaker::state::half_open);
  CHECK(b.lane().breaker().openings() == 1);
  CHECK(b.x.state().waiting == 1); // the retry
  CHECK(b.lane().in_flight() == 0);
  CHECK(b.live() == 501); // of those that were written, and of the first
  auto last = b.wake();   // the healthy server
  REQUIRE(last.size() == 1);
  b.end(last[0]);
  CHECK(b.lane().breaker().current(b.now) == limits::circuit_breaker::state::closed);
  CHECK(b.x.empty());
  CHECK(b.take(offer(2001)) == list{2001});
  CHECK(b.take(offer(2002)) == list{2002});
}

TEST_CASE("dispatcher says that a slot, or the breaker, held a request", "[dispatch]") {
  auto settings = settings_of({}, {}, 1);
  settings.groups[0].breaker = {.consecutive_failures = 1, .failure_share = 0, .open_for = 10s};
  settings.wait_when_open = {true, true};
  settings.retry.max_attempts = 1;
  bench b{settings};
  b.take(offer(1));
  b.take(offer(2));
  b.now += 1s;
  b.end(1);
  b.serve();
  CHECK(b.sent[1].waited_for == wait_reason::nothing);
  CHECK(b.sent[2].waited_for == wait_reason::slot);
}

} // namespace modelforge::dispatcher_test
