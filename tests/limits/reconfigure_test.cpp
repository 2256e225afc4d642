#include "limits/lane.hpp"

#include <catch2/catch_test_macros.hpp>

#include <deque>
#include <random>

namespace modelforge::reconfigure_test {

using namespace modelforge::limits;
using namespace std::chrono_literals;

namespace {

const time_point start{1h};

rate_limits limits_of(uint64_t requests, duration window = 60s, std::optional<uint64_t> tokens = {}) {
  rate_limits x;
  x.per_minute[0] = requests;
  x.per_minute[1] = tokens;
  x.window = window;
  x.burst = 5;
  return x;
}

/// Counts what was sent in every window that ends with a dispatch, by the limit of that moment.
class oracle {
public:
  explicit oracle(uint64_t limit) : limit_(limit) {}

  void set_limit(uint64_t x) { limit_ = x; }

  /// False: one too many.
  bool sent(time_point now) {
    times_.push_back(now);
    while (times_.front() + 60s <= now)
      times_.pop_front();
    return times_.size() <= limit_;
  }

private:
  uint64_t limit_;
  std::deque<time_point> times_;
};

} // namespace

TEST_CASE("limits that change while it runs are kept at every moment, and forget nothing", "[limits]") {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random{seed};
    auto draw = [&](int below) { return std::uniform_int_distribution{0, below - 1}(random); };
    uint64_t limit = 40 + uint64_t(draw(200));
    rate_limiter x{limits_of(limit)};
    oracle watching{limit};
    auto now = start;
    charge one;
    std::size_t sent = 0;
    for (int i = 0; i < 3000; ++i) {
      if (draw(100) == 0) {
        limit = draw(2) == 0 ? std::max<uint64_t>(1, limit / 2) : std::min<uint64_t>(1000, limit * 2);
        x.reconfigure(limits_of(limit));
        watching.set_limit(limit);
        REQUIRE(x.limit(dimension::requests) == limit);
      }
      auto at = x.ready_at(one, now);
      if (at > now) {
        REQUIRE(at <= now + x.span() + 1ms); // never for ever
        now = draw(3) == 0 ? at : std::min(at, now + 1ms * draw(500));
        continue;
      }
      auto ticket = x.reserve(one, now);
      REQUIRE(watching.sent(now));
      x.written(ticket, now);
      x.end(ticket, now + 1ms * draw(20));
      ++sent;
    }
    CHECK(sent > 100);
  }
}

TEST_CASE("a longer window holds what was sent for longer", "[limits]") {
  rate_limiter x{limits_of(60'000, 1s)}; // 1,000 in each second
  charge one;
  auto now = start;
  for (int i = 0; i < 10; ++i, now = x.ready_at(one, now))
    x.end(x.reserve(one, now), now);
  x.reconfigure(limits_of(60, 10s)); // 10 in each 10 s: all used
  auto at = x.ready_at(one, now);
  CHECK(at > start + 10s);
  CHECK(at < start + 10s + 200ms);
}

TEST_CASE("a limit that was not there counts what went before it", "[limits]") {
  rate_limits none;
  rate_limiter x{none};
  charge one;
  one.arriving = {1, 100, 0, 0};
  for (int i = 0; i < 5; ++i)
    x.end(x.reserve(one, start), start);
  x.reconfigure(limits_of(1'000, 60s, 500));
  CHECK(x.ready_at(one, start + 1s) > start + 59s);
  x.reconfigure(none);
  CHECK(x.ready_at(one, start + 1s) == start + 1s);
}

TEST_CASE("a lane changes its slots and its breaker as it runs", "[limits]") {
  lane_settings how;
  how.max_concurrent = 4;
  how.interactive_slots = 1;
  how.breaker.enabled = true;
  how.breaker.consecutive_failures = 2;
  lane x{how};
  charge one;
  auto now = start;
  auto a = x.start(one, priority::interactive, now);
  auto b = x.start(one, priority::interactive, now);
  how.max_concurrent = 2;
  x.reconfigure(how);
  CHECK(x.ready(one, priority::interactive, now).why == wait_reason::slot);
  x.end(a, {.result = outcome::failure}, now);
  x.end(b, {.result = outcome::failure}, now);
  CHECK(x.breaker().current(now) == circuit_breaker::state::open);
  x.reconfigure(how); // the state stays
  CHECK(x.breaker().current(now) == circuit_breaker::state::open);
  how.breaker.enabled = false;
  x.reconfigure(how);
  CHECK(x.ready(one, priority::interactive, now).at == now);
}

} // namespace modelforge::reconfigure_test
