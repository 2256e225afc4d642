#include "tests/dispatch/dispatcher_bench.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <map>
#include <string>

namespace modelforge::dispatcher_test {

// -- refusals -----------------------------------------------------------------------

TEST_CASE("dispatcher refuses with a reason, and leaves no trace", "[dispatch]") {
  auto settings = settings_of(60, 1000, 1);
  settings.max_queued = 3;
  settings.max_queued_bytes = 100;
  bench b{settings};
  CHECK(b.take(offer(1, 500)) == list{1});
  auto none = [&](reason why, const dispatcher::offer& o) {
    auto before = b.x.state();
    auto refused = b.refusals(why);
    auto got = b.refused(o);
    CHECK(got.why == why);
    CHECK(b.refusals(why) == refused + 1);
    auto after = b.x.state();
    CHECK(after.queued == before.queued);
    CHECK(after.queued_bytes == before.queued_bytes);
    CHECK(b.serve() == list{});
    return got;
  };
  none(reason::duplicate, offer(1));
  auto o = offer(2);
  o.deadline = start;
  none(reason::deadline, o);
  o = offer(2);
  o.bytes = 101;
  none(reason::too_large, o);
  auto over = none(reason::over_limit, certain(2, 1001));
  CHECK(over.over == limits::dimension::tokens);
  CHECK(over.limit == 1000);
  CHECK(over.wanted == 1001);
  CHECK(b.take(offer(2, 500)) == list{}); // waits for the slot
  none(reason::duplicate, offer(2));
  o = offer(3, 1);
  o.deadline = start + 60s; // 1000 tokens go first, half of them now
  auto late = none(reason::predicted_wait, o);
  CHECK(late.wait == limits::duration{60s + 50ms});
  o = offer(3);
  o.bytes = 91;
  none(reason::queue_bytes_full, o);
  b.take(offer(3));
  b.take(offer(4));
  none(reason::queue_full, offer(5));
  b.x.drain();
  none(reason::draining, offer(5));
  CHECK(b.x.counts().failed == 9);
}

TEST_CASE("dispatcher finishes what it has when it is drained", "[dispatch]") {
  bench b{settings_of({}, {}, 1)};
  b.take(offer(1));
  b.take(offer(2));
  b.x.drain();
  CHECK(b.end(1, failed(errc::server_error)).then == what::again); // its retry, too
  CHECK(b.serve() == list{2});
  CHECK(b.end(2).then == what::answer);
  CHECK(b.wake() == list{1});
  CHECK(b.end(1).then == what::answer);
  CHECK(b.x.empty());
  CHECK_FALSE(b.x.wake_at(b.now));
}

TEST_CASE("dispatcher takes a deadline that is met just in time", "[dispatch]") {
  bench b{settings_of({}, 1000)};
  b.take(offer(1, 1000));
  auto o = offer(2, 1);
  o.deadline = start + 60s + 50ms;
  CHECK(b.refused(o).why == reason::predicted_wait);
  o.deadline = start + 60s + 50ms + 1ns;
  CHECK(b.take(o) == list{});
  CHECK(b.wake() == list{2});
  CHECK(b.now == start + 60s + 50ms);
}

TEST_CASE("dispatcher predicts by what is ahead, and interactive requests pass batch items", "[dispatch]") {
  bench b{settings_of({}, 1000)};
  b.take(offer(1, 1000));
  for (uint64_t i = 2; i < 12; ++i)
    b.take(offer(i, 1000, batch));
  auto o = offer(20, 1, batch);
  o.deadline = start + 300s;
  CHECK(b.refused(o).why == reason::predicted_wait);
  o.rank = interactive;
  CHECK(b.take(o) == list{});
  CHECK(b.x.predicted_wait(0, interactive, b.now) >= limits::duration{60s});
  CHECK(b.x.predicted_wait(0, batch, b.now) >= limits::duration{600s});
  CHECK(b.wake().front() == 20);
}

TEST_CASE("dispatcher ends a request at its deadline, wherever it stands", "[dispatch]") {
  bench b{settings_of({}, {}, 1)};
  auto o = offer(1);
  o.deadline = start + 10s;
  b.take(o);
  o.id = id(2);
  b.take(o); // waits for the slot
  CHECK(b.x.wake_at(b.now) == start + 10s);
  CHECK(b.wake() == list{});
  REQUIRE(b.given_up.size() == 2);
  CHECK(b.given_up.at(1).why.why == reason::deadline);
  CHECK(b.given_up.at(1).attempt == b.sent.at(1).attempt); // to be aborted
  CHECK(b.given_up.at(2).attempt == 0);
  CHECK(b.x.empty());
  CHECK(b.lane().in_flight() == 0);
  CHECK(b.end(1).then == what::nobody); // a late answer
  CHECK(b.x.counts().late == 1);
  CHECK(b.x.counts().answered == 0);
}

// -- order --------------------------------------------------------------------------

TEST_CASE("dispatcher sends interactive requests before batch items", "[dispatch]") {
  bench b{settings_of({}, {}, 1)};
  b.take(offer(1));
  b.take(offer(2, 1, batch));
  b.take(offer(3));
  b.take(offer(4, 1, batch));
  b.take(offer(5));
  list order;
  for (uint64_t last = 1; order.size() < 4;) {
    b.end(last);
    auto next = b.serve();
    REQUIRE(next.size() == 1);
    order.push_back(last = next[0]);
  }
  CHECK(order == list{3, 5, 2, 4});
}

TEST_CASE("dispatcher keeps slots free of batch items", "[dispatch]") {
  auto settings = settings_of({}, {}, 3);
  settings.groups[0].interactive_slots = 1;
  bench b{settings};
  CHECK(b.take(offer(1, 1, batch)) == list{1});
  CHECK(b.take(offer(2, 1, batch)) == list{2});
  CHECK(b.take(offer(3, 1, batch)) == list{});
  CHECK(b.take(offer(4)) == list{4});
  CHECK(b.take(offer(5)) == list{});
  b.end(4);
  CHECK(b.serve() == list{5});
  b.end(1);
  CHECK(b.serve() == list{3});
}

TEST_CASE("dispatcher lets a small request pass only if the head loses nothing", "[dispatch]") {
  bench b{settings_of({}, 1000)};
  b.take(offer(1, 700));
  CHECK(b.take(offer(2, 600)) == list{}); // at 60.05 s, with 400 to spare then
  CHECK(b.take(offer(3, 300)) == list{3});
  CHECK(b.take(offer(4, 100)) == list{}); // there is nothing left
  b.now += 1s;
  CHECK(b.take(offer(5, 0)) == list{5});
  CHECK(b.wake() == list{2, 4});
  CHECK(b.now == start + 60s + 50ms);
}

TEST_CASE("dispatcher lets nothing pass that would move the head", "[dispatch]") {
  bench b{settings_of({}, 1000)};
  b.take(offer(1, 500));
  CHECK(b.take(offer(2, 900)) == list{});
  b.now += 1s;
  CHECK(b.take(offer(3, 101)) == list{}); // 500 are free, but the head needs all but 100 of them
  CHECK(b.take(offer(4, 60)) == list{4});
  CHECK(b.take(offer(5, 60)) == list{});
  CHECK(b.take(offer(6, 40, batch)) == list{6});
  CHECK(b.wake() == list{2});
  CHECK(b.now == start + 60s + 50ms);
}

TEST_CASE("dispatcher lets nothing pass a head that waits for a slot or a server", "[dispatch]") {
  SECTION("slot") {
    bench b{settings_of({}, {}, 1)};
    b.take(offer(1, 100));
    CHECK(b.take(offer(2, 100)) == list{});
    CHECK(b.take(offer(3, 0)) == list{});
  }
  SECTION("the last slot, which the head would need") {
    bench b{settings_of({}, 1000, 2)};
    b.take(offer(1, 700));
    CHECK(b.take(offer(2, 600)) == list{});
    CHECK(b.take(offer(3, 100)) == list{}); // might be under way still
    CHECK(b.wake() == list{2});
  }
  SECTION("server") {
    bench b{settings_of({}, 1000)};
    b.take(offer(1));
    b.end(1, failed(errc::rate_limited, 429, 5s));
    CHECK(b.take(offer(2, 500)) == list{});
    CHECK(b.take(offer(3, 0)) == list{});
    b.now = start + 5s;
    auto sent = b.serve();
    CHECK(sent == list{2, 3});
  }
}

TEST_CASE("dispatcher lets nothing pass that would take the head's place as a probe", "[dispatch]") {
  auto settings = settings_of({}, 1000);
  settings.groups[0].breaker = {.consecutive_failures = 1, .failure_share = 0, .open_for = 10s};
  settings.wait_when_open = {true, true};
  settings.retry.max_attempts = 1;
  bench b{settings};
  b.take(offer(1, 700));
  b.end(1, failed(errc::server_error));
  CHECK(b.take(offer(2, 600)) == list{});
  b.now += 10s;
  CHECK(b.take(offer(3, 300)) == list{}); // there is one probe at a time
  b.now = start + 60s + 50ms;
  CHECK(b.serve() == list{2});
}

TEST_CASE("dispatcher shares a lane between tenants", "[dispatch]") {
  bench b{settings_of({}, {}, 1)};
  b.take(offer(1));
  for (uint64_t i = 2; i < 1002; ++i) {
    auto o = offer(i, 1, batch);
    o.tenant = "a";
    REQUIRE_FALSE(b.x.accept(o, b.now));
  }
  auto o = offer(5000, 1, batch);
  o.tenant = "b";
  REQUIRE_FALSE(b.x.accept(o, b.now));
  CHECK(b.serve() == list{});
  uint64_t last = 1;
  for (auto waited = 0; last != 5000; ++waited) {
    REQUIRE(waited <= 2);
    b.end(last);
    last = b.serve().at(0);
  }
}

TEST_CASE("dispatcher predicts a tenant's wait by its own turn", "[dispatch]") {
  for (auto rank : {interactive, batch}) {
    bench b{settings_of(60, {})};
    for (uint64_t i = 0; i < 400; ++i)
      REQUIRE_FALSE(b.x.accept(from_tenant(i, "a", rank), b.now));
    b.serve();
    b.now += 1s;
    auto o = from_tenant(1000, "b", rank);
    o.deadline = b.now + 120s;
    REQUIRE(b.take(o) == list{});
    o.id = id(1001);
    o.deadline = b.now + 10s; // the window is full for a minute
    auto no = b.refused(o);
    CHECK(no.why == reason::predicted_wait);
    CHECK(*no.wait < 61s);
    o.tenant = "a"; // its own queue is ahead of it
    o.deadline = b.now + 300s;
    CHECK(b.refused(o).why == reason::predicted_wait);
    auto sent = b.wake();
    CHECK(std::find(sent.begin(), sent.begin() + 3, 1000) != sent.begin() + 3);
  }
}

TEST_CASE("dispatcher's tenants share alike, whatever answers tell meanwhile, and through reloads", "[dispatch]") {
  enum { nothing, told, reloaded };
  for (auto when : {nothing, told, reloaded}) {
    INFO("case " << when);
    auto settings = settings_of({}, {}, 4);
    settings.groups[0].interactive_slots = 0;
    bench b{settings};
    uint64_t last = 0;
    std::map<char, int> answered;
    auto ask = [&](char tenant, int n) {
      for (; n > 0; --n)
        REQUIRE_FALSE(b.x.accept(from_tenant(1'000'000 * uint64_t(tenant) + ++last, std::string(1, tenant)), b.now));
    };
    ask('a', 40);
    auto flying = b.serve();
    for (int round = 0; answered['a'] < 40; ++round) {
      REQUIRE(round < 30); // half of four in each round
      if (round > 0)
        ask('b', 4);
      if (when == reloaded && round % 5 == 1) {
        settings.groups[0].limits.per_minute = {
          round % 2 == 0 ? std::nullopt : std::optional<uint64_t>{1'000'000}, {}, {}, {}};
        b.x.reconfigure(settings);
      }
      b.now += 1s;
      for (auto id : flying) {
        dispatcher::attempt_end how;
        if (when == told) {
          how.told[0] = {600, 599, 100ms};
          how.told[1] = {2'000'000, 1'999'000, 30ms};
        }
        b.end(id, how);
        ++answered[static_cast<char>(id / 1'000'000)];
      }
      flying = b.serve();
    }
    CHECK(answered['b'] >= 30);
  }
}

// -- cancelling ---------------------------------------------------------------------

TEST_CASE("dispatcher gives back what a cancelled request holds", "[dispatch]") {
  bench b{settings_of({}, 1000, 1)};
  SECTION("queued") {
    b.take(offer(1));
    b.take(offer(2));
    CHECK(b.x.withdraw(id(2), b.now) == dispatcher::attempt_id{0});
    CHECK(b.x.state().queued_bytes == 0);
    b.end(1);
    CHECK(b.serve() == list{});
    CHECK(b.live() == 1);
  }
  SECTION("waiting for its retry") {
    b.take(offer(1, 5));
    b.end(1, failed(errc::server_error));
    CHECK(b.x.state().waiting == 1);
    CHECK(b.x.withdraw(id(1), b.now) == dispatcher::attempt_id{0});
    CHECK(b.x.state().waiting == 0);
    CHECK(b.x.state().queued_bytes == 0);
    CHECK_FALSE(b.x.wake_at(b.now));
  }
  SECTION("in flight, not written") {
    b.writes = false;
    b.take(offer(1, 600));
    b.take(offer(2, 600));
    CHECK(b.x.withdraw(id(1), b.now) == b.sent[1].attempt);
    CHECK_FALSE(b.x.request_of(b.sent[1].attempt));
    CHECK(b.lane().in_flight() == 0); // the slot is back at once
    CHECK(b.live() == 600);
    CHECK(b.serve() == list{});
    CHECK(b.end(1, unwritten()).then == what::nobody);
    CHECK(b.live() == 0);
    CHECK(b.serve() == list{2});
  }
  SECTION("in flight, written") {
    b.take(offer(1, 600));
    CHECK(b.x.withdraw(id(1), b.now) == b.sent[1].attempt);
    CHECK(b.end(1, failed(errc::cancelled, 0)).then == what::nobody);
    CHECK(b.live() == 600);
    CHECK(b.x.counts().late == 0);
  }
  SECTION("queued again, with its part of the budget") {
    b.take(offer(1));
    b.end(1, failed(errc::server_error));
    b.take(offer(2)); // has the slot when 1 falls due
    b.now += 1s;
    CHECK(b.serve() == list{});
    CHECK(b.x.state().queued[0] == 1);
    CHECK(b.x.withdraw(id(1), b.now) == dispatcher::attempt_id{0});
    b.end(2);
  }
  CHECK_FALSE(b.x.withdraw(id(1), b.now));
  CHECK_FALSE(b.x.withdraw(id(99), b.now));
  b.serve();
  for (auto& [request, send] : b.sent)
    b.end(request);
  b.serve();
  CHECK(b.x.state().in_flight == 0);
  CHECK(b.x.empty());
}

TEST_CASE("dispatcher takes an id again once its request has ended", "[dispatch]") {
  bench b{settings_of({}, {})};
  b.take(offer(1));
  auto first = b.sent[1].attempt;
  CHECK(b.refused(offer(1)).why == reason::duplicate);
  b.x.withdraw(id(1), b.now);
  CHECK(b.take(offer(1)) == list{1});
  CHECK(b.sent[1].attempt != first);
  CHECK(b.x.end(first, {}, b.now).then == what::nobody); // the first one's late answer is not the second one's
  CHECK(b.end(1).then == what::answer);
}

TEST_CASE("dispatcher forgets a retry's old deadline with its request", "[dispatch]") {
  bench b{settings_of({}, {})};
  auto o = offer(1);
  o.deadline = start + 10s;
  b.take(o);
  b.end(1);
  o.deadline = start + 20s;
  b.take(o);
  CHECK(b.x.wake_at(b.now) == start + 20s);
  b.now = start + 10s;
  CHECK(b.serve() == list{});
  CHECK(b.given_up.empty());
}

// -- size ---------------------------------------------------------------------------

TEST_CASE("dispatcher keeps nothing of what has ended", "[dispatch]") {
  auto settings = settings_of({}, {}, 10);
  settings.max_queued = 100;
  bench b{settings};
  for (uint64_t i = 1; i <= 20'000; ++i) {
    auto o = offer(i, 1, i % 3 == 0 ? batch : interactive);
    o.tenant = std::to_string(i);
    o.deadline = b.now + 100s;
    b.take(o);
    if (b.sent.contains(i))
      switch (i % 4) {
        case 0:
          b.end(i, failed(errc::invalid_request, 400));
          break;
        case 1:
          b.x.withdraw(id(i), b.now);
          b.end(i, unwritten());
          break;
        default:
          b.end(i);
      }
    b.sent.clear();
    b.now += 1ms;
  }
  b.serve();
  CHECK(b.x.empty());
  CHECK(b.x.state().queued_bytes == 0);
  CHECK(b.x.state().in_flight == 0);
  CHECK(b.lane().in_flight() == 0);
  CHECK_FALSE(b.x.wake_at(b.now));
}

} // namespace modelforge::dispatcher_test
