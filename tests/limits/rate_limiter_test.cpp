#include "limits/rate_limiter.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <chrono>
#include <deque>
#include <map>
#include <random>
#include <vector>

namespace modelforge::rate_limiter_test {

using namespace modelforge::limits;
using namespace std::chrono_literals;

namespace {

constexpr auto requests = dimension::requests;
constexpr auto tokens = dimension::tokens;

const time_point start{1000s};

rate_limits limits_of(std::optional<uint64_t> requests_per_minute, std::optional<uint64_t> tokens_per_minute,
                      uint64_t burst = 1'000'000) {
  rate_limits x;
  x.per_minute = {requests_per_minute, tokens_per_minute, {}, {}};
  x.burst = burst;
  return x;
}

charge of(uint64_t arriving, uint64_t produced = 0) {
  charge x;
  at(x.arriving, tokens) = arriving;
  at(x.produced, tokens) = produced;
  return x;
}

rate_limiter::ticket send(rate_limiter& x, const charge& what, time_point now) {
  auto t = x.reserve(what, now);
  x.written(t, now);
  return t;
}

} // namespace

TEST_CASE("limiter holds a request back until exactly enough charges have expired", "[limits][rate_limiter]") {
  rate_limiter x{limits_of(100, 1000)};
  send(x, of(400), start);
  send(x, of(300), start + 10s);
  send(x, of(300), start + 20s);
  auto now = start + 30s;
  struct row {
    uint64_t need;
    duration from_start; ///< 60 s + guard after the charge that must go.
  };
  const row rows[] = {{0, 30s},          {1, 60s + 50ms},   {400, 60s + 50ms}, {401, 70s + 50ms},
                      {700, 70s + 50ms}, {701, 80s + 50ms}, {1000, 80s + 50ms}};
  for (auto& row : rows) {
    INFO(row.need);
    CHECK(x.wait_for(of(row.need), now) == start + row.from_start - now);
    CHECK(x.ready_at(of(row.need), now) == start + row.from_start);
  }
  CHECK(x.live(start + 60s + 50ms - 1ns) == amounts{3, 1000, 0, 0});
  CHECK(x.live(start + 60s + 50ms) == amounts{2, 600, 0, 0});
  CHECK(x.ready_at(of(401), start + 70s + 50ms - 1ns) == start + 70s + 50ms);
}

TEST_CASE("limiter's wait is the time at which the request may go, to the nanosecond", "[limits][rate_limiter]") {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random{seed};
    auto settings = limits_of(5 + random() % 60, 500 + random() % 5000, 1 + random() % 12);
    if (seed % 3 == 0)
      settings.window = 7s;
    rate_limiter x{settings};
    auto now = start;
    for (int i = 0; i < 400; ++i) {
      auto c = of(random() % 300, random() % 100);
      if (x.never_fits(c.total()))
        continue;
      auto ready = x.ready_at(c, now);
      REQUIRE(ready >= now);
      if (ready > now) {
        auto between = now + duration{static_cast<int64_t>(random() % static_cast<uint64_t>((ready - now).count()))};
        REQUIRE(x.ready_at(c, between) == ready); // it does not move while nothing happens
        REQUIRE(x.ready_at(c, ready - 1ns) == ready);
      }
      now = ready;
      REQUIRE(x.ready_at(c, now) == now);
      auto t = x.reserve(c, now);
      x.end(t, now, &c);
      now += duration{static_cast<int64_t>(random() % 300'000'000)};
    }
  }
}

TEST_CASE("limiter keeps every window within its limits, wherever it begins", "[limits][rate_limiter]") {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random{seed};
    auto below = [&](uint64_t n) { return random() % n; };
    auto settings = limits_of(10 + below(100), 1000 + below(20'000), 1 + below(30));
    settings.window = below(2) == 0 ? 60s : 5s;
    if (settings.window == 5s)
      for (auto& limit : settings.per_minute)
        if (limit)
          *limit *= 12;
    rate_limiter x{settings};
    auto limit = amounts{*x.limit(requests), *x.limit(tokens), 0, 0};
    struct arrival {
      time_point at;
      amounts what;
    };
    struct flight {
      rate_limiter::ticket ticket;
      charge what;
    };
    std::vector<arrival> arrivals;
    std::multimap<time_point, flight> to_write, to_end;
    auto now = start;
    for (int i = 0; i < 600; ++i) {
      auto c = of(below(limit[1] / 4), below(limit[1] / 8));
      auto run_until = [&](time_point until) { // writes and answers that come meanwhile, in order
        while (true) {
          auto write = !to_write.empty() && to_write.begin()->first <= until;
          auto ends = !to_end.empty() && to_end.begin()->first <= until;
          if (write && (!ends || to_write.begin()->first <= to_end.begin()->first)) {
            auto [when, f] = *to_write.begin();
            to_write.erase(to_write.begin());
            x.written(f.ticket, when);
            arrivals.push_back({when + 100ms + duration{static_cast<int64_t>(below(49'000'000))}, f.what.arriving});
            to_end.emplace(when + duration{static_cast<int64_t>(below(40'000'000'000))}, f);
          } else if (ends) {
            auto [when, f] = *to_end.begin();
            to_end.erase(to_end.begin());
            auto real = f.what;
            at(real.produced, tokens) = below(at(real.produced, tokens) + 1);
            x.end(f.ticket, when, &real);
            arrivals.push_back({when, real.produced});
          } else {
            return;
          }
        }
      };
      for (auto ready = x.ready_at(c, now); ready > now; ready = x.ready_at(c, now)) {
        run_until(ready);
        now = ready;
      }
      auto t = x.reserve(c, now);
      if (below(20) == 0)
        x.release(t);
      else
        to_write.emplace(now + duration{static_cast<int64_t>(below(500'000'000))}, flight{t, c});
      auto next = now + duration{static_cast<int64_t>(below(50'000'000))};
      run_until(next);
      now = next;
    }
    std::sort(arrivals.begin(), arrivals.end(), [](auto& a, auto& b) { return a.at < b.at; });
    amounts sum{};
    std::size_t first = 0;
    for (auto& a : arrivals) {
      for (std::size_t d = 0; d < 2; ++d)
        sum[d] += a.what[d];
      for (; arrivals[first].at <= a.at - x.window(); ++first)
        for (std::size_t d = 0; d < 2; ++d)
          sum[d] -= arrivals[first].what[d];
      REQUIRE(sum[0] <= limit[0]);
      REQUIRE(sum[1] <= limit[1]);
    }
  }
}

TEST_CASE("limiter counts a charge from its reservation, and its window from the writing", "[limits][rate_limiter]") {
  rate_limiter x{limits_of({}, 100)};
  auto t = x.reserve(of(100), start);
  CHECK(x.live(start) == amounts{1, 100, 0, 0});
  CHECK(x.pending() == amounts{1, 100, 0, 0});
  CHECK(x.ready_at(of(1), start) == start + 60s + 50ms); // as if written now
  CHECK(x.ready_at(of(1), start + 300s) == start + 300s + 60s + 50ms);
  x.written(t, start + 300s);
  CHECK(x.pending() == amounts{});
  CHECK(x.ready_at(of(1), start + 301s) == start + 360s + 50ms);
  x.written(t, start + 305s); // told twice: the first one counts
  CHECK(x.ready_at(of(1), start + 310s) == start + 360s + 50ms);
  x.end(t, start + 350s);
  CHECK(x.ready_at(of(1), start + 350s) == start + 360s + 50ms);
}

TEST_CASE("limiter rounds an expiry up to the next millisecond, never down", "[limits][rate_limiter]") {
  rate_limiter x{limits_of(2, {})};
  send(x, of(0), start + 1ns);
  send(x, of(0), start + 999'999ns);
  CHECK(x.ready_at(of(0), start + 1s) == start + 60s + 51ms);
  CHECK(x.live(start + 60s + 51ms - 1ns)[0] == 2);
  CHECK(x.live(start + 60s + 51ms)[0] == 0);
}

TEST_CASE("limiter takes windows and guards as they are set, and scales the limit", "[limits][rate_limiter]") {
  auto settings = limits_of(1200, 90);
  settings.window = 20s;
  settings.guard = 0ms;
  rate_limiter x{settings};
  CHECK(x.limit(requests) == 400);
  CHECK(x.limit(tokens) == 30);
  CHECK(x.configured(tokens) == 30);
  CHECK_FALSE(x.limit(dimension::output_tokens));
  CHECK(x.span() == 20s);
  send(x, of(30), start);
  CHECK(x.ready_at(of(1), start) == start + 20s);
  settings.per_minute = {1, {}, {}, {}};
  CHECK(rate_limiter{settings}.limit(requests) == 1); // a third of a request is one
}

TEST_CASE("limiter spaces requests as GCRA does", "[limits][rate_limiter]") {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random{seed};
    auto burst = 1 + seed % 11;
    rate_limiter x{limits_of(600, {}, burst)}; // 100 ms each; the gate stays open, since no more than 600 are sent
    auto theoretical = start;                  // arrival time, by the textbook
    auto now = start;
    for (int i = 0; i < 600; ++i) {
      if (random() % 8 == 0)
        now += duration{static_cast<int64_t>(random() % 2'000'000'000)};
      auto allowed = std::max(now, theoretical - (static_cast<int64_t>(burst) - 1) * duration{100ms});
      REQUIRE(x.ready_at(of(0), now) == allowed);
      now = allowed;
      theoretical = std::max(now, theoretical) + 100ms;
      x.end(x.reserve(of(0), now), now);
    }
  }
}

TEST_CASE("limiter knows how long one waits behind another", "[limits][rate_limiter]") {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random{seed};
    rate_limiter x{limits_of(5 + random() % 50, 500 + random() % 2000, 1 + random() % 5)};
    auto now = start;
    for (int i = 0; i < 100; ++i) {
      auto before = of(random() % 200);
      auto c = of(random() % 200);
      now = x.ready_at(before, now) + duration{static_cast<int64_t>(random() % 2'000'000'000)};
      auto predicted = x.ready_at(c, now, &before);
      auto t = x.reserve(before, now);
      REQUIRE(x.ready_at(c, now) == predicted);
      x.written(t, now);
      x.end(t, now);
    }
  }
}

TEST_CASE("limiter reaches its limits with requests that differ", "[limits][rate_limiter]") {
  // Small and large requests by turns: together they use both limits up, though neither kind does alone.
  rate_limiter x{limits_of(60, 60'000, 10)};
  const uint64_t sizes[] = {10, 1990};
  auto now = start;
  uint64_t sent = 0, used = 0;
  for (int i = 0; now < start + 660s; ++i) {
    auto c = of(sizes[i % 2]);
    now = x.ready_at(c, now);
    x.end(x.reserve(c, now), now);
    if (now >= start + 60s && now < start + 660s) {
      ++sent;
      used += sizes[i % 2];
    }
  }
  auto least = 0.99 - 0.05 / 60 - 1990.0 / 60'000;
  CHECK(static_cast<double>(sent) / 600 >= least);
  CHECK(static_cast<double>(used) / 600'000 >= least);
}

TEST_CASE("limiter uses at least the share of its limit that is promised", "[limits][rate_limiter]") {
  for (uint64_t burst : {1, 10, 100'000})
    for (uint64_t size : {1, 37, 500}) {
      INFO("burst " << burst << ", size " << size);
      rate_limiter x{limits_of({}, 10'000, burst)};
      auto now = start;
      uint64_t used = 0;
      while (now < start + 660s) {
        now = x.ready_at(of(size), now);
        x.end(x.reserve(of(size), now), now);
        if (now >= start + 60s && now < start + 660s)
          used += size;
      }
      CHECK(static_cast<double>(used) / 100'000 >= 0.99 - 0.05 / 60 - static_cast<double>(size) / 10'000);
    }
}

TEST_CASE("limiter waits for the dimension that is ready last", "[limits][rate_limiter]") {
  auto settings = limits_of(2, 100);
  settings.per_minute[2] = 10;
  settings.per_minute[3] = 20;
  rate_limiter x{settings};
  send(x, {{1, 100, 0, 0}, {}}, start);
  send(x, {{1, 0, 10, 0}, {}}, start + 1s);
  auto now = start + 2s;
  CHECK(x.ready_at({{0, 0, 0, 20}, {}}, now) == now); // nothing of what is full
  CHECK(x.ready_at({{0, 1, 0, 0}, {}}, now) == start + 60s + 50ms);
  CHECK(x.ready_at({{0, 0, 1, 0}, {}}, now) == start + 61s + 50ms);
  CHECK(x.ready_at({{0, 0, 0, 0}, {0, 1, 1, 0}}, now) == start + 61s + 50ms);
  CHECK(x.ready_at({{1, 0, 0, 0}, {}}, now) == start + 60s + 50ms);
  CHECK(x.ready_at({{2, 0, 0, 0}, {}}, now) == start + 61s + 50ms);
}

TEST_CASE("limiter corrects what was produced, both ways", "[limits][rate_limiter]") {
  rate_limiter x{limits_of({}, 1000)};
  SECTION("less than was reserved comes back at once") {
    auto t = x.reserve(of(300, 500), start);
    x.written(t, start);
    auto real = of(200, 100);
    x.end(t, start + 5s, &real);
    CHECK(x.live(start + 5s) == amounts{1, 300, 0, 0});
    CHECK(x.ready_at(of(700), start + 5s) == start + 5s);
    CHECK(x.ready_at(of(701), start + 5s) == start + 60s + 50ms); // the prompt goes first
    CHECK(x.ready_at(of(901), start + 5s) == start + 65s + 50ms); // the answer by its end
  }
  SECTION("more than was reserved is charged at once") {
    auto t = x.reserve(of(300, 100), start);
    x.written(t, start);
    auto real = of(400, 900);
    x.end(t, start + 5s, &real);
    CHECK(x.live(start + 5s) == amounts{1, 1300, 0, 0});
    CHECK(x.ready_at(of(1), start + 5s) == start + 60s + 50ms);
    CHECK(x.ready_at(of(101), start + 5s) == start + 65s + 50ms);
  }
  SECTION("a prompt whose window has passed is corrected no more") {
    auto t = x.reserve(of(300, 100), start);
    x.written(t, start);
    auto real = of(900, 50);
    x.end(t, start + 100s, &real);
    CHECK(x.live(start + 100s) == amounts{0, 50, 0, 0});
  }
  SECTION("without a correction what was reserved stays") {
    auto t = x.reserve(of(300, 100), start);
    x.end(t, start + 5s); // never told to be written: counts as written now
    CHECK(x.live(start + 65s + 49ms) == amounts{1, 400, 0, 0});
    CHECK(x.live(start + 65s + 50ms) == amounts{});
  }
}

TEST_CASE("limiter gives a charge back only if no byte was written", "[limits][rate_limiter]") {
  rate_limiter x{limits_of(10, 1000)};
  auto t = x.reserve(of(300, 500), start);
  x.release(t);
  CHECK(x.live(start) == amounts{});
  t = x.reserve(of(300, 500), start);
  x.written(t, start);
  x.release(t);
  CHECK(x.live(start) == amounts{1, 300, 0, 0}); // what it would have produced does come back
  CHECK(x.live(start + 60s + 50ms) == amounts{});
}

TEST_CASE("limiter's pacer takes back what was not used", "[limits][rate_limiter]") {
  rate_limiter x{limits_of({}, 1000, 1)};
  auto t = x.reserve(of(100, 400), start); // half a minute's tokens
  CHECK(x.ready_at(of(1), start) == start + 30s);
  SECTION("nothing was written") {
    x.release(t);
    CHECK(x.ready_at(of(1), start) == start);
  }
  SECTION("the prompt was written") {
    x.written(t, start);
    x.release(t);
    CHECK(x.ready_at(of(1), start) == start + 6s);
  }
  SECTION("the answer was shorter") {
    auto real = of(100, 100);
    x.end(t, start, &real);
    CHECK(x.ready_at(of(1), start) == start + 12s);
  }
  SECTION("the answer was longer") {
    auto real = of(100, 500);
    x.end(t, start, &real);
    CHECK(x.ready_at(of(1), start) == start + 36s);
  }
}

TEST_CASE("limiter follows a limit that is changed, and forgets nothing", "[limits][rate_limiter]") {
  rate_limiter x{limits_of({}, 1000)};
  for (int i = 0; i < 10; ++i)
    send(x, of(100), start + i * 1s);
  auto now = start + 10s;
  x.set_limit(tokens, 500); // six must go before a hundred fit
  CHECK(x.ready_at(of(100), now) == start + 65s + 50ms);
  CHECK(x.never_fits(of(501).total()) == tokens);
  CHECK(x.configured(tokens) == 1000);
  x.set_limit(tokens, 2000);
  CHECK(x.ready_at(of(1000), now) == now);
  CHECK(x.ready_at(of(1001), now) == start + 60s + 50ms);
  x.set_limit(tokens, {});
  CHECK(x.ready_at(of(1'000'000), now) == now);
  CHECK_FALSE(x.never_fits(of(1'000'000).total()));
  x.set_limit(tokens, 0); // at least one
  CHECK(x.limit(tokens) == 1);
  CHECK(x.ready_at(of(1), now) == start + 69s + 50ms);
  x.set_limit(requests, 10); // one that was not there before: what is live counts
  CHECK(x.ready_at(of(0), now) == start + 60s + 50ms);
}

TEST_CASE("limiter tells what can never fit", "[limits][rate_limiter]") {
  auto settings = limits_of(1, 100);
  settings.per_minute[3] = 50;
  rate_limiter x{settings};
  CHECK_FALSE(x.never_fits({1, 100, 0, 0}));
  CHECK(x.never_fits({1, 101, 0, 0}) == tokens);
  CHECK(x.never_fits({1, 0, 1'000'000, 51}) == dimension::output_tokens);
  CHECK(x.never_fits({2, 0, 0, 0}) == requests);
}

TEST_CASE("limiter lets what may exceed a window go alone, and nothing beside it", "[limits][rate_limiter]") {
  for (auto too_large : {of(1500), of(900, 200), of(UINT64_MAX, UINT64_MAX)}) {
    rate_limiter x{limits_of({}, 1000, 10)};
    CHECK(x.ready_at(too_large, start) == start);
    CHECK(x.predict({}, too_large, start) == start);
    send(x, of(1), start);
    auto ready = start + 60s + 50ms;
    CHECK(x.ready_at(too_large, start) == ready); // not before the window is empty
    CHECK(x.predict({}, too_large, start) == ready);
    CHECK(x.predict({2, 300, 0, 0}, too_large, start) >= ready);
    auto t = send(x, too_large, ready);
    CHECK(x.ready_at(of(1), ready) > ready);
    auto real = of(100, 200);
    x.end(t, ready + 1s, &real); // it was a guess: the window has room again
    CHECK(x.ready_at(of(700), ready + 1s) == ready + 1s);
    CHECK(x.ready_at(of(701), ready + 1s) > ready + 1s);
  }
}

TEST_CASE("limiter lets short answers follow each other, though a long one was seen", "[limits][rate_limiter]") {
  for (uint64_t burst : {1, 10}) {
    rate_limiter x{limits_of({}, 1000, burst)};
    auto now = start;
    for (int i = 0; i < 8; ++i) { // half of the window
      INFO("burst " << burst << ", the " << i << "th");
      auto next = of(10, 9000);
      now = x.ready_at(next, now);
      CHECK(x.predict({}, next, now) == now);
      CHECK(now < start + 10s * (i + 1));
      auto t = send(x, next, now);
      CHECK(x.ready_at(next, now) > now + 59s); // one at a time
      now += 1s;
      auto real = of(10, 50);
      x.end(t, now, &real);
    }
    auto t = send(x, of(10, 9000), now);
    auto real = of(10, 9000);
    x.end(t, now, &real);
    CHECK(x.ready_at(of(10, 50), now) == now + 60s + 50ms);
  }
}

TEST_CASE("limiter's corrections hold back no longer than the gate remembers", "[limits][rate_limiter]") {
  for (uint64_t burst : {1, 10, 1'000'000})
    for (uint64_t usage : {uint64_t{1500}, uint64_t{1'000'000}, uint64_t{1'000'000'000'000'000}, UINT64_MAX}) {
      INFO("burst " << burst << ", usage " << usage);
      rate_limiter x{limits_of({}, 1000, burst)};
      for (int i = 0; i < 5; ++i) {
        auto t = send(x, of(1, 1), start);
        auto real = of(usage, usage);
        x.end(t, start, &real);
      }
      auto over = start + 60s + 50ms;
      CHECK(x.ready_at(of(1), start) == over);
      CHECK(x.ready_at(of(1000), start) == over);
      CHECK(x.predict({}, of(1), start) <= start + x.longest_wait({}));
      CHECK(x.ready_at(of(1000), over) == over); // and then nothing is owed
      CHECK(x.predict({1, 1000, 0, 0}, of(1000), over) <= over + 121s);
    }
}

TEST_CASE("limiter's corrections of any size keep the window and free it in time", "[limits][rate_limiter]") {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random{seed};
    rate_limiter x{limits_of(100, 10'000, 1 + random() % 20)};
    auto now = start;
    auto any = [&] { return random() >> (random() % 64); };
    for (int i = 0; i < 300; ++i) {
      auto wanted = of(random() % 20'000, random() % 3000);
      auto at = x.ready_at(wanted, now);
      REQUIRE(at <= now + x.span() + 1ms);
      REQUIRE(x.predict({}, wanted, now) <= now + x.longest_wait({}));
      now = at;
      auto t = send(x, wanted, now);
      now += std::chrono::milliseconds{random() % 3000};
      auto real = of(any(), any());
      x.end(t, now, random() % 4 > 0 ? &real : nullptr);
    }
    CHECK(x.live(now + 200s) == amounts{});
  }
}

TEST_CASE("limiter predicts any queue without overflow", "[limits][rate_limiter]") {
  for (auto window : {duration{100ms}, duration{60s}, duration{24h}})
    for (uint64_t burst : {uint64_t{1}, uint64_t{1'000'000}, UINT64_MAX})
      for (uint64_t ahead : {uint64_t{0}, uint64_t{1'000'000}, uint64_t{1} << 50, UINT64_MAX / 2}) {
        auto settings = limits_of(1, 1, burst);
        settings.window = window;
        rate_limiter x{settings};
        INFO(window.count() << " ns, " << ahead << " ahead, burst " << burst);
        auto longest = x.longest_wait({ahead, ahead, 0, 0});
        CHECK(longest >= duration{0});
        CHECK(longest <= rate_limiter::longest_prediction);
        auto at = x.predict({ahead, ahead, 0, 0}, of(1), start);
        CHECK(at >= start);
        CHECK(at <= start + longest);
        if (ahead > 1u << 30)
          CHECK(at > start + 10h);
      }
}

TEST_CASE("limiter predicts a queue's end", "[limits][rate_limiter]") {
  struct row {
    const char* why;
    rate_limits limits;
    uint64_t size;
    int queued;
    duration early = 2s; ///< That a prediction may be.
  };
  const row rows[] = {
    {"requests, several windows", limits_of(60, {}), 0, 200},
    {"tokens, several windows", limits_of({}, 6000), 100, 400},
    {"tokens that do not divide the limit", limits_of({}, 6000), 70, 400, 61s},
    {"both", limits_of(100, 6000), 70, 400, 61s},
    {"a pacer", limits_of(60, {}, 10), 0, 200},
    {"a pacer and less than a window", limits_of(60, {}, 10), 0, 40},
    {"a strict pacer", limits_of(60, 6000, 1), 90, 100},
  };
  for (auto& row : rows) {
    INFO(row.why);
    rate_limiter x{row.limits};
    auto now = start;
    x.end(x.reserve(of(row.size), now), now); // the queue has begun to move
    amounts ahead{};
    std::vector<time_point> predicted;
    for (int i = 0; i < row.queued; ++i) {
      predicted.push_back(x.predict(ahead, of(row.size), now));
      CHECK(predicted.back() - now <= x.longest_wait(ahead));
      ahead[0] += 1;
      ahead[1] += row.size;
    }
    for (auto& p : predicted) {
      now = x.ready_at(of(row.size), now);
      x.end(x.reserve(of(row.size), now), now);
      // as if requests could be cut to measure: early by what does not divide, and never late
      CHECK(p <= now);
      CHECK(now - p <= row.early);
    }
  }
}

TEST_CASE("limiter's prediction for a small request behind large ones is not too late", "[limits][rate_limiter]") {
  rate_limiter x{limits_of({}, 60'000, 10)};
  auto now = start;
  x.end(x.reserve(of(1), now), now);
  for (int large = 1; large <= 20; ++large) { // of 2 s each
    INFO(large << " ahead");
    auto y = x;
    auto at = now;
    for (int i = 0; i < large; ++i) {
      at = y.ready_at(of(2000), at);
      y.end(y.reserve(of(2000), at), at);
    }
    at = y.ready_at(of(1), at);
    auto n = static_cast<uint64_t>(large);
    CHECK(x.predict({n, n * 2000, 0, 0}, of(1), now) <= at);
  }
}

TEST_CASE("limiter's log stays small at a million requests a minute", "[limits][rate_limiter]") {
  auto settings = limits_of(1'000'000, 1'000'000'000, 1000);
  rate_limiter x{settings};
  auto now = start;
  std::deque<rate_limiter::ticket> under_way;
  std::size_t max_open = 0;
  for (int i = 0; i < 2'500'000; ++i) {
    now = x.ready_at(of(500, 300), now);
    under_way.push_back(x.reserve(of(500, 300), now));
    x.written(under_way.back(), now);
    max_open = std::max<std::size_t>(max_open, under_way.back() + 1);
    if (under_way.size() > 2000) {
      x.end(under_way.front(), now);
      under_way.pop_front();
    }
  }
  CHECK(now - start > 2 * 60s);
  CHECK(x.entries() <= 60'051);
  CHECK(x.entries() > 50'000);
  CHECK(max_open <= 2001);
  CHECK(x.save(now).size() <= 252);
}

TEST_CASE("limiter that is saved and restored forgets no charge early", "[limits][rate_limiter]") {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random{seed};
    auto settings = limits_of(100'000, 100'000'000);
    settings.window = seed % 2 == 0 ? 60s : 100ms;
    rate_limiter x{settings};
    auto now = start;
    for (int i = 0; i < 2000; ++i) {
      now += settings.window / 2000 + duration{static_cast<int64_t>(random() % 10'000)};
      send(x, of(random() % 1000), now);
    }
    auto saved = x.save(now);
    CHECK(saved.size() <= 252);
    amounts sum{};
    for (auto& s : saved) {
      CHECK(s.left > 0ns);
      for (std::size_t d = 0; d < sum.size(); ++d)
        sum[d] += s.amount[d];
    }
    auto pending = x.pending();
    auto live = x.live(now);
    CHECK(sum[0] + pending[0] == live[0]);
    CHECK(sum[1] + pending[1] == live[1]);
    rate_limiter y{settings};
    for (auto& s : saved)
      y.restore(s.amount, now + s.left);
    auto step = std::max<duration>(1ms, x.span() / 250) + 1ms;
    auto late = x;
    for (auto t = now; t < now + x.span() + 2 * step; t += x.span() / 1777) {
      auto was = x.live(t), is = y.live(t);
      REQUIRE(is[0] >= was[0]);
      REQUIRE(is[1] >= was[1]);
      if (t - step < now)
        continue;
      auto before = late.live(t - step); // and none late by more than an entry is wide
      REQUIRE(is[0] <= before[0]);
      REQUIRE(is[1] <= before[1]);
    }
    CHECK(y.live(now + x.span() + step) == amounts{});
  }
}

} // namespace modelforge::rate_limiter_test
