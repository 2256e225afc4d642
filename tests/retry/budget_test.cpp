#include "retry/budget.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

namespace modelforge::budget_test {

using namespace modelforge::retry;
using namespace std::chrono_literals;

namespace {

using duration = budget::duration;
using time_point = budget::time_point;

const time_point start{1000s};

} // namespace

TEST_CASE("budget never lets more retries pass than its definition", "[retry][budget]") {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random{seed};
    budget x;
    std::vector<std::pair<time_point, bool>> sent; // and whether it is a retry
    auto now = start;
    uint64_t retries = 0;
    auto gap = static_cast<double>(1 + random() % 300) * 1e6;
    for (int i = 0; i < 4000; ++i) {
      now += duration{static_cast<int64_t>(std::exponential_distribution<>{1 / gap}(random))};
      if (random() % 500 == 0)
        now += duration{static_cast<int64_t>(random() % 30'000'000'000)};
      if (random() % 3 == 0) {
        x.first(now);
        sent.emplace_back(now, false);
        continue;
      }
      auto available = x.available(now);
      uint64_t first = 0, again = 0;
      for (auto j = sent.rbegin(); j != sent.rend() && j->first > now - 10s; ++j)
        (j->second ? again : first) += 1;
      auto allowed = 0.2 * static_cast<double>(first) + 10;
      if (available > 0) // what was sent before may be too much by now, as first attempts leave
        REQUIRE(static_cast<double>(again + available) <= allowed + 1e-9);
      if (now - start > 15s) { // and little less: what a step of 100 ms may hide
        uint64_t least_first = 0, max_again = 0;
        for (auto j = sent.rbegin(); j != sent.rend() && j->first > now - 10s - 100ms; ++j) {
          least_first += !j->second && j->first > now - 9900ms;
          max_again += j->second;
        }
        auto least = std::floor(0.2 * static_cast<double>(least_first) + 10) - static_cast<double>(max_again);
        REQUIRE(static_cast<double>(available) >= least);
      }
      if (available > 0) {
        x.retry(now);
        sent.emplace_back(now, true);
        ++retries;
      }
    }
    CHECK(retries > 200);
  }
}

TEST_CASE("budget says when the next retry may go", "[retry][budget]") {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random{seed};
    budget x;
    auto now = start + duration{static_cast<int64_t>(random() % 1'000'000'000)};
    auto empty = 0;
    for (int i = 0; i < 500; ++i) {
      now += duration{static_cast<int64_t>(random() % 100'000'000)};
      if (random() % 4 == 0)
        x.first(now);
      auto ready = x.ready_at(now);
      auto available = x.available(now) > 0;
      REQUIRE((ready == now) == available);
      if (available) {
        x.retry(now);
        continue;
      }
      ++empty;
      REQUIRE(ready > now);
      auto y = x;
      for (auto t = now; t < ready - 100ms; t += 10ms) // no more than a step too late
        REQUIRE(y.available(t) == 0);
      REQUIRE(y.available(ready) > 0);
      REQUIRE(y.ready_at(ready) == ready);
    }
    CHECK(empty > 10);
  }
}

TEST_CASE("budget begins with two retries and earns one a second", "[retry][budget]") {
  budget x;
  CHECK(x.available(start) == 2);
  CHECK(x.available(start + 100s) == 2); // nothing is earned before the first attempt
  auto now = start + 100s;
  x.first(now);
  for (int i = 0; i < 8; ++i) {
    CHECK(x.available(now + i * 1s) == static_cast<uint64_t>(2 + i));
    CHECK(x.available(now + i * 1s + 799ms) == static_cast<uint64_t>(2 + i));
    CHECK(x.available(now + i * 1s + 801ms) == static_cast<uint64_t>(3 + i)); // a fifth came by the first attempt
  }
  CHECK(x.available(now + 100s) == 10);
}

TEST_CASE("budget earns a fifth of what is sent first, for ten seconds", "[retry][budget]") {
  budget x;
  x.first(start - 100s);
  for (int i = 0; i < 50; ++i)
    x.first(start);
  CHECK(x.available(start) == 20);
  CHECK(x.available(start + 9900ms) == 20);
  CHECK(x.available(start + 10s) == 10);
  for (int i = 0; i < 10; ++i)
    x.retry(start + 10s);
  CHECK(x.available(start + 10s) == 0);
  x.retry(start + 10s); // more than it has: no harm
  CHECK(x.available(start + 10s) == 0);
  CHECK(x.available(start + 20s) == 0);
  CHECK(x.ready_at(start + 10s) == start + 20s + 100ms);
  CHECK(x.available(start + 20s + 100ms) == 10);
}

TEST_CASE("budget that rests for years is as it was", "[retry][budget]") {
  budget x;
  x.first(start);
  for (int i = 0; i < 10; ++i)
    x.retry(start + 20s);
  CHECK(x.available(start + 24h * 3650) == 10);
  x.first(start + 24h * 3650);
  CHECK(x.available(start + 24h * 3650) == 10);
}

} // namespace modelforge::budget_test
