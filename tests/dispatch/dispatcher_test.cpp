#include "dispatch/dispatcher.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace modelforge::dispatcher_test {

using namespace std::chrono_literals;

namespace {

using limits::charge;
using limits::time_point;
using reason = dispatcher::reason;
using what = dispatcher::settlement::what;

constexpr auto batch = priority::batch;
constexpr auto interactive = priority::interactive;

const time_point start{1000s};

charge of(uint64_t tokens) {
  charge x;
  limits::at(x.arriving, limits::dimension::tokens) = tokens;
  return x;
}

request_id id(uint64_t x) {
  return {1, x};
}

dispatcher::offer offer(uint64_t n, uint64_t tokens = 1, priority rank = interactive) {
  return {.id = id(n), .rank = rank, .cost = of(tokens), .bytes = 10};
}

/// One of a size that is no guess.
dispatcher::offer certain(uint64_t n, uint64_t tokens) {
  auto x = offer(n, tokens);
  x.least = x.cost.total();
  return x;
}

dispatcher::offer for_model(uint64_t n, const std::string& model, uint64_t tokens = 1, priority rank = interactive) {
  auto x = offer(n, tokens, rank);
  x.model = model;
  return x;
}

dispatcher::offer from_tenant(uint64_t n, const std::string& tenant, priority rank = interactive) {
  auto x = offer(n, 1, rank);
  x.tenant = tenant;
  return x;
}

dispatcher_settings settings_of(std::optional<uint64_t> requests, std::optional<uint64_t> tokens,
                                uint32_t slots = 1000) {
  dispatcher_settings x;
  auto& group = x.groups[0];
  group.limits.per_minute = {requests, tokens, {}, {}};
  group.limits.burst = 1'000'000;
  group.max_concurrent = group.first_burst = slots;
  group.breaker.enabled = false;
  return x;
}

dispatcher::attempt_end failed(errc code, uint16_t status = 500, std::optional<limits::duration> wait = {}) {
  dispatcher::attempt_end x;
  x.failed = retry::failed_attempt{.code = code, .status = status, .server_wait = wait};
  return x;
}

dispatcher::attempt_end unwritten(errc code = errc::cancelled) {
  auto x = failed(code, 0);
  x.written = x.failed->written = false;
  return x;
}

/// A dispatcher that is asked until it has no more to tell.
struct bench {
  dispatcher x;
  time_point now = start;
  std::map<uint64_t, dispatcher::dispatch> sent; ///< The latest attempt, by request.
  std::map<uint64_t, dispatcher::give_up> given_up;
  uint32_t saves = 0;
  bool writes = true; ///< Whether what is sent is written at once.

  explicit bench(const dispatcher_settings& settings) : x(settings, 1) {}

  /// Requests that are sent now, in order.
  std::vector<uint64_t> serve() {
    std::vector<uint64_t> result;
    while (auto step = x.next(now)) {
      REQUIRE(result.size() + given_up.size() + saves < 100'000);
      if (auto* send = std::get_if<dispatcher::dispatch>(&*step)) {
        result.push_back(send->id.low);
        sent[send->id.low] = *send;
        REQUIRE(x.request_of(send->attempt) == send->id);
        if (writes)
          x.written(send->attempt, now);
      } else if (auto* end = std::get_if<dispatcher::give_up>(&*step)) {
        given_up.emplace(end->id.low, *end);
      } else {
        ++saves;
        x.journal(now);
      }
    }
    auto wake = x.wake_at(now);
    REQUIRE((!wake || *wake > now));
    return result;
  }

  std::vector<uint64_t> take(const dispatcher::offer& o) {
    REQUIRE_FALSE(x.accept(o, now));
    return serve();
  }

  dispatcher::refusal refused(const dispatcher::offer& o) {
    auto result = x.accept(o, now);
    REQUIRE(result);
    return *result;
  }

  dispatcher::settlement end(uint64_t request, const dispatcher::attempt_end& how = {}) {
    return x.end(sent.at(request).attempt, how, now);
  }

  /// Sleeps until it is to be woken, and serves.
  std::vector<uint64_t> wake() {
    auto at = x.wake_at(now);
    REQUIRE(at);
    now = *at;
    return serve();
  }

  limits::lane& lane(uint32_t group = 0, uint32_t key = 0) { return x.lane_of(group, key); }
  uint64_t live(limits::dimension d = limits::dimension::tokens) { return limits::at(lane().limiter().live(now), d); }
  uint64_t refusals(reason why) const { return x.counts().refused[static_cast<std::size_t>(why)]; }
};

using list = std::vector<uint64_t>;

} // namespace

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
  b.take(offer(3, 1, batch));
  b.end(1, failed(errc::server_error));
  CHECK(b.serve() == list{});
  REQUIRE(b.given_up.size() == 1);
  CHECK(b.given_up.at(2).why.why == reason::circuit_open);
  CHECK(b.given_up.at(2).why.wait == limits::duration{10s});
  CHECK(b.wake() == list{3});
}

TEST_CASE("dispatcher ends retries, too, while the breaker is open", "[dispatch]") {
  auto settings = settings_of({}, {});
  settings.groups[0].breaker = {.consecutive_failures = 5, .failure_share = 0, .open_for = 20s};
  bench b{settings};
  for (uint64_t i = 1; i <= 8; ++i)
    CHECK(b.take(offer(i)) == list{i});
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

// -- learned limits -----------------------------------------------------------------

TEST_CASE("dispatcher ends a queued request that a new limit has made too large", "[dispatch]") {
  auto settings = settings_of({}, 1000, 1);
  bench b{settings};
  b.take(offer(1));
  b.take(certain(2, 600));
  b.take(certain(3, 400));
  settings.groups[0].limits.per_minute[1] = 500;
  b.x.reconfigure(settings);
  b.end(1);
  CHECK(b.serve() == list{3});
  REQUIRE(b.given_up.size() == 1);
  auto& why = b.given_up.at(2).why;
  CHECK(why.why == reason::over_limit);
  CHECK(why.over == limits::dimension::tokens);
  CHECK(why.limit == 500);
  CHECK(why.wanted == 600);
}

namespace {

/// Two groups: models that begin with "a" have limits of their own.
dispatcher::heritage split_off_a(std::vector<std::optional<uint32_t>> groups = {0, {}}) {
  dispatcher::heritage result;
  result.groups = std::move(groups);
  result.keys = {0};
  result.group_of = [](const std::string& model) { return model.starts_with("a") ? 1 : 0; };
  return result;
}

dispatcher_settings two_groups(const dispatcher_settings& x) {
  auto result = x;
  result.groups.push_back(x.groups[0]);
  return result;
}

dispatcher::heritage one_group(std::vector<uint32_t> keys = {0}) {
  dispatcher::heritage result;
  result.groups = {0};
  result.keys = std::move(keys);
  result.group_of = [](const std::string&) { return 0; };
  return result;
}

dispatcher::offer in_group(uint32_t group, dispatcher::offer x) {
  x.group = group;
  return x;
}

} // namespace

TEST_CASE("dispatcher charges models what they have used when they get limits of their own", "[dispatch][reload]") {
  bench b{settings_of(10, {})};
  for (uint64_t n = 1; n <= 7; ++n)
    CHECK(b.take(for_model(n, n <= 5 ? "a" : "b")) == list{n});
  b.end(1);
  b.now += 10s;
  b.x.reconfigure(two_groups(settings_of(10, {})), split_off_a(), b.now);
  list sent;
  for (uint64_t n = 11; n <= 20; ++n)
    for (auto x : b.take(in_group(1, for_model(n, "a"))))
      sent.push_back(x);
  CHECK(sent == list{11, 12, 13, 14, 15}); // and five were sent before
  CHECK(b.take(for_model(31, "b")) == list{31});
  b.now = start + 61s;
  CHECK(b.serve() == list{16, 17, 18, 19, 20});
}

TEST_CASE("dispatcher charges models what they have used when they lose limits of their own", "[dispatch][reload]") {
  bench b{two_groups(settings_of(10, {}))};
  for (uint64_t n = 1; n <= 6; ++n)
    CHECK(b.take(in_group(1, for_model(n, "a"))) == list{n});
  b.writes = false;
  CHECK(b.take(for_model(7, "b")) == list{7});
  b.take(in_group(1, for_model(8, "a")));
  CHECK(b.sent.count(8) == 1);
  b.x.reconfigure(settings_of(10, {}), one_group(), b.now);
  CHECK(b.take(for_model(9, "c")) == list{9});
  CHECK(b.take(for_model(10, "a")) == list{10});
  CHECK(b.take(for_model(11, "b")) == list{});
  b.now = start + 61s; // those that are not written yet count still: 7 to 10
  b.serve();
  list after;
  for (uint64_t n = 12; n <= 20; ++n)
    for (auto x : b.take(for_model(n, "b")))
      after.push_back(x);
  CHECK(after == list{12, 13, 14, 15, 16}); // with number 11
  CHECK(b.sent.count(11) == 1);
}

TEST_CASE("dispatcher moves what waits to its model's group, in order", "[dispatch][reload]") {
  bench b{settings_of(2, {})};
  b.take(for_model(1, "a"));
  b.take(for_model(2, "b"));
  for (uint64_t n = 3; n <= 6; ++n)
    CHECK(b.take(for_model(n, n % 2 == 1 ? "a" : "b")) == list{});
  b.now += 30s;
  b.x.reconfigure(two_groups(settings_of(2, {})), split_off_a(), b.now);
  auto sent = b.serve(); // each model has used one of two
  std::sort(sent.begin(), sent.end());
  CHECK(sent == list{3}); // the group that was there before has still both
  b.now = start + 61s;
  sent = b.serve();
  std::sort(sent.begin(), sent.end());
  CHECK(sent == list{4, 5, 6});
  CHECK(b.x.state().queued[0] == 0);
}

TEST_CASE("dispatcher gives a new key its own limits, and a known one those that it had", "[dispatch][reload]") {
  auto settings = settings_of(3, {});
  bench b{settings};
  for (uint64_t n = 1; n <= 3; ++n)
    CHECK(b.take(offer(n)) == list{n});
  CHECK(b.take(offer(4)) == list{});
  settings.keys = 2;
  b.x.reconfigure(settings, one_group({7, 0}), b.now); // another one before it
  CHECK(b.serve() == list{4});
  CHECK(b.sent.at(4).key == 0);
  CHECK(b.take(offer(5)) == list{5});
  CHECK(b.take(offer(6)) == list{6});
  CHECK(b.take(offer(7)) == list{});
  settings.keys = 1;
  b.x.reconfigure(settings, one_group({9}), b.now); // both go
  CHECK(b.serve() == list{7});
  b.end(1);
  b.end(4, failed(errc::connection_lost));
  b.now += 10s;
  b.x.reconfigure(settings, one_group({0}), b.now); // and one comes back
  CHECK(b.take(offer(8)) == list{});
  b.now = start + 61s;
  CHECK_FALSE(b.serve().empty());
}

TEST_CASE("dispatcher counts what a restart has left once, however often settings change", "[dispatch][reload]") {
  bench b{two_groups(settings_of(100, {}))};
  dispatcher::journal_lane left;
  left.live.push_back({30s, {10, 0, 0, 0}});
  b.x.restore({left, {.group = 1, .live = left.live}}, 0s, b.now);
  auto used = [&](uint32_t group) {
    return limits::at(b.lane(group).limiter().live(b.now), limits::dimension::requests);
  };
  for (int i = 0; i < 5; ++i) {
    b.x.reconfigure(two_groups(settings_of(100, {})), split_off_a({0, 1}), b.now);
    CHECK(used(0) == 10);
    CHECK(used(1) == 10);
  }
  b.x.reconfigure(two_groups(settings_of(100, {})), split_off_a({0, {}}), b.now); // the second is another one now
  CHECK(used(0) == 20); // each may have all models of the one that is no more
  CHECK(used(1) == 20);
  b.x.reconfigure(settings_of(100, {}), one_group(), b.now);
  CHECK(used(0) == 40);
}

TEST_CASE("dispatcher lets what waits for a lane go where it belongs now", "[dispatch][reload]") {
  auto settings = settings_of({}, {});
  bench b{settings};
  b.take(for_model(1, "a", 1, batch));
  b.take(for_model(2, "b", 1, batch));
  b.end(1, failed(errc::rate_limited, 429, 2h));
  CHECK(b.serve() == list{});
  auto of = split_off_a();
  of.same_server = false;
  b.x.reconfigure(two_groups(settings), of, b.now);
  CHECK(b.serve() == list{1});
  b.end(1, failed(errc::rate_limited, 429, 2h));
  CHECK(b.take(for_model(3, "c", 1, batch)) == list{3});
  dispatcher::heritage third = split_off_a({0, 1, {}});
  third.group_of = [](const std::string& model) { return model == "c" ? 2 : model == "a" ? 1 : 0; };
  auto three = two_groups(settings);
  three.groups.push_back(three.groups[0]);
  b.x.reconfigure(three, third, b.now);
  CHECK(b.take(in_group(2, for_model(4, "c", 1, batch))) == list{}); // the key may be the one that is to wait
}

TEST_CASE("dispatcher forgets pauses and breakers with the server, not what a key has used", "[dispatch][reload]") {
  auto settings = settings_of(2, {});
  settings.groups[0].breaker = {.enabled = true, .consecutive_failures = 1, .open_for = 1h};
  settings.wait_when_open = {true, true};
  settings.retry.max_attempts = 1;
  bench b{settings};
  b.take(offer(1));
  b.end(1, failed(errc::server_error));
  CHECK(b.take(offer(2)) == list{});
  auto of = one_group();
  of.same_server = false;
  b.x.reconfigure(settings, of, b.now);
  CHECK(b.serve() == list{2});
  CHECK(b.take(offer(3)) == list{}); // the limit
  b.now = start + 61s;
  CHECK(b.serve() == list{3});
}

TEST_CASE("dispatcher's groups share the slots of their keys, interactive requests first", "[dispatch]") {
  auto settings = two_groups(settings_of({}, {}, 4));
  for (auto& group : settings.groups)
    group.interactive_slots = 1;
  bench b{settings};
  list sent;
  for (uint64_t n = 1; n <= 10; ++n)
    for (auto x : b.take(in_group(n % 2, for_model(n, n % 2 == 1 ? "a" : "b", 1, batch))))
      sent.push_back(x);
  CHECK(sent == list{1, 2, 3}); // one is kept
  CHECK(b.take(in_group(1, for_model(21, "a"))) == list{21});
  CHECK(b.take(in_group(0, for_model(22, "b"))) == list{});
  b.end(1);
  CHECK(b.serve() == list{22});
  b.end(21);
  b.end(22);
  CHECK(b.serve().size() == 1); // three batch items at most
  std::string turns;
  for (uint64_t n : {2, 3})
    for (auto x : (b.end(n), b.serve()))
      turns += x % 2 == 1 ? 'a' : 'b';
  CHECK((turns == "ab" || turns == "ba"));
}

TEST_CASE("dispatcher refuses nothing for a guess, but lets it go alone", "[dispatch]") {
  bench b{settings_of({}, 1000)};
  auto o = offer(1, 100);
  limits::at(o.cost.produced, limits::dimension::tokens) = 9000; // the longest answer that was seen
  CHECK(b.take(o) == list{1});
  CHECK(b.take(offer(2, 10'000)) == list{}); // an estimate
  dispatcher::attempt_end how;
  how.real = of(100);
  b.end(1, how);
  CHECK(b.serve() == list{});
  CHECK(b.wake() == list{2}); // in an empty window
  how.real = of(700);
  b.end(2, how);
  CHECK(b.take(offer(3, 300)) == list{3});
  CHECK(b.given_up.empty());
}

TEST_CASE("dispatcher refuses nothing for what one answer told of a limit", "[dispatch]") {
  for (uint64_t limit : {1, 500, 10'000}) {
    auto settings = settings_of({}, {});
    bench b{settings};
    b.take(for_model(1, "small"));
    b.take(for_model(2, "small", 30'000, batch));
    dispatcher::attempt_end how;
    for (auto& told : how.told)
      told.limit = limit;
    b.end(1, how);
    b.end(2);
    CHECK(b.take(for_model(3, "large", 30'000)) == list{3});
    CHECK(b.take(for_model(4, "small", 30'000)) == list{}); // waits for an empty window
    CHECK(b.wake() == list{4});
    CHECK(b.now <= start + 61s);
    b.now = start + 24h * 365;
    CHECK(b.take(for_model(5, "small", 30'000)) == list{5});
    CHECK(b.take(for_model(6, "small", 30'000)) == list{6}); // forgotten
    b.x.reconfigure(settings);
    CHECK(b.take(for_model(7, "small", 30'000)) == list{7});
    CHECK(b.given_up.empty());
  }
}

TEST_CASE("dispatcher predicts by what answers told, and refuses at once", "[dispatch]") {
  bench b{settings_of({}, {})};
  b.take(for_model(1, "m"));
  b.take(for_model(2, "other"));
  b.x.accept(for_model(3, "m"), b.now); // queued when the answer comes
  auto queued = for_model(4, "m");
  queued.deadline = start + 300s;
  b.x.accept(queued, b.now);
  dispatcher::attempt_end how;
  how.told[0] = {{}, 0, 2h};
  b.end(1, how);
  CHECK(b.serve() == list{}); // those before it went with it
  auto o = for_model(5, "m");
  o.deadline = start + 300s;
  auto no = b.refused(o);
  CHECK(no.why == reason::predicted_wait);
  CHECK(no.wait == limits::duration{2h});
  o = for_model(6, "other");
  o.deadline = start + 1s;
  CHECK(b.take(o) == list{6}); // another model's limits are others
  o = for_model(7, "m", 1, batch);
  CHECK(b.take(o) == list{});
  CHECK(b.x.predicted_wait(0, interactive, b.now) == limits::duration{2h});
}

TEST_CASE("dispatcher gives up those in the queue that would wait in vain", "[dispatch]") {
  for (auto paused : {true, false}) {
    bench b{settings_of({}, {}, 1)};
    b.take(offer(1));
    auto o = offer(2);
    o.deadline = start + 300s;
    b.take(o);
    o.id = id(3);
    b.take(o);
    b.take(offer(4, 1, batch));
    auto how = paused ? failed(errc::rate_limited, 429, 7200s) : dispatcher::attempt_end{};
    if (!paused)
      how.told[0] = {{}, 0, 2h};
    b.end(1, how);
    CHECK(b.serve() == list{});
    REQUIRE(b.given_up.size() == 2);
    for (uint64_t i : {2, 3}) {
      CHECK(b.given_up.at(i).why.why == reason::predicted_wait);
      CHECK(b.given_up.at(i).why.wait == limits::duration{2h});
    }
    CHECK(b.x.state().queued[1] == 1); // the batch item waits
  }
}

TEST_CASE("dispatcher lets other models go while one is held by what answers told", "[dispatch]") {
  bench b{settings_of({}, {})};
  b.take(for_model(1, "held"));
  dispatcher::attempt_end how;
  how.told[0] = {{}, 0, 2h};
  b.end(1, how);
  for (uint64_t i = 100; i < 200; ++i)
    CHECK(b.take(for_model(i, "held", 1, batch)) == list{});
  CHECK(b.take(for_model(2, "free", 1, batch)) == list{2});
  CHECK(b.take(for_model(3, "free", 1, batch)) == list{3});
  auto state = b.x.state();
  CHECK(state.queued[1] + state.waiting == 100);
  list sent;
  while (sent.empty())
    sent = b.wake();
  CHECK(sent == list{100}); // the first one finds out
  CHECK(b.now == start + 180s);
  b.end(100);
  sent = b.serve();
  while (b.x.state().queued[1] + b.x.state().waiting > 0)
    for (auto id : b.wake())
      sent.push_back(id);
  CHECK(sent.size() == 99);
  CHECK(std::is_sorted(sent.begin(), sent.end()));
  CHECK(b.now <= start + 191s);
  CHECK(b.x.state().waiting == 0);
}

TEST_CASE("dispatcher tries at last whether a server's wait is over", "[dispatch]") {
  auto settings = settings_of({}, {});
  settings.retry.max_server_wait = 100s;
  settings.retry.max_batch_server_wait = 1h;
  settings.retry.max_attempts = 10;
  auto year = 24h * 365;
  auto one_by_one = [](bench& b, std::size_t count) { // until so many have been sent and answered
    list all;
    while (all.size() < count) {
      auto more = b.serve();
      if (more.empty())
        more = b.wake();
      for (auto id : more)
        b.end(id);
      all.insert(all.end(), more.begin(), more.end());
    }
    return all;
  };
  SECTION("an interactive request does, after max_server_wait") {
    bench b{settings};
    b.take(offer(1));
    b.take(offer(2, 1, batch));
    b.take(offer(3, 1, batch));
    CHECK(b.end(2, failed(errc::rate_limited, 429, year)).then == what::again);
    auto end = b.end(1, failed(errc::rate_limited, 429, year));
    CHECK(end.then == what::answer);
    CHECK(end.wait == limits::duration{year});
    CHECK(b.take(offer(4)) == list{});
    CHECK(b.wake() == list{4});
    CHECK(b.now == start + 100s);
    CHECK(b.take(offer(5)) == list{});
    auto o = offer(6);
    o.deadline = b.now + 300s;
    CHECK(b.refused(o).why == reason::predicted_wait); // until the other one knows
    b.end(4);
    CHECK(b.serve() == list{5}); // it is over
    CHECK(b.take(o) == list{6});
    b.end(5);
    b.end(6);
    b.end(3);
    CHECK(one_by_one(b, 1) == list{2}); // for batch items, too, which begin with one
    CHECK(b.sent.at(2).number == 2);
  }
  SECTION("batch items do, after their own time") {
    bench b{settings};
    b.take(offer(1, 1, batch));
    b.end(1, failed(errc::rate_limited, 429, year));
    b.take(offer(2, 1, batch));
    CHECK(b.wake() == list{2});
    CHECK(b.now == start + 1h);
    b.end(2, failed(errc::rate_limited, 429, 10s)); // who asked after the pause began knows better
    CHECK(one_by_one(b, 2).size() == 2);
    CHECK(b.sent.at(1).number == 2);
    CHECK(b.sent.at(2).number == 2);
    CHECK(b.now < start + 1h + 11s);
  }
}

TEST_CASE("dispatcher corrects its charges by the usage", "[dispatch]") {
  bench b{settings_of({}, 1000)};
  auto o = offer(1, 100);
  limits::at(o.cost.produced, limits::dimension::tokens) = 900;
  b.take(o);
  CHECK(b.take(offer(2, 800)) == list{});
  dispatcher::attempt_end how;
  how.real = of(100);
  limits::at(how.real->produced, limits::dimension::tokens) = 50;
  b.now += 5s;
  b.end(1, how);
  CHECK(b.live() == 150);
  CHECK(b.serve() == list{2});
}

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
