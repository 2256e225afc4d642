#include "bench/measure.hpp"
#include "bench/rate_limits/scenarios.hpp"
#include "dispatch/dispatcher.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <deque>

namespace modelforge::bench::rate_limits {

using steady = std::chrono::steady_clock;
using namespace std::chrono_literals;

namespace {

/// CPU of a request from `accept` to `end` while so many are queued, in microseconds.
double dispatcher_cost(uint64_t queued) {
  dispatcher_settings settings;
  settings.max_queued = 2'000'000;
  auto& group = settings.groups[0];
  group.max_concurrent = 64;
  group.limits.per_minute = {1'000'000'000, 1'000'000'000'000, {}, {}}; // counted, and never reached
  group.limits.burst = 1000;
  dispatcher x{settings, 1};
  auto now = steady::now();
  uint64_t asked = 0;
  std::deque<dispatcher::attempt_id> under_way;
  auto ask = [&] {
    dispatcher::offer o{.id = {1, ++asked}, .tenant = std::to_string(asked % 10), .bytes = 100};
    o.cost.arriving = {1, 500, 0, 0};
    x.accept(std::move(o), now);
    while (auto step = x.next(now))
      if (auto* send = std::get_if<dispatcher::dispatch>(&*step)) {
        under_way.push_back(send->attempt);
        x.written(send->attempt, now);
      }
    x.wake_at(now);
  };
  while (asked < queued + group.max_concurrent)
    ask();
  constexpr int rounds = 200'000;
  auto begin = std::clock();
  for (int i = 0; i < rounds; ++i) {
    now += 100us;
    dispatcher::attempt_end how;
    how.real.emplace().arriving = {1, 400, 0, 0};
    x.end(under_way.front(), how, now);
    under_way.pop_front();
    ask();
  }
  return static_cast<double>(std::clock() - begin) * 1e6 / CLOCKS_PER_SEC / rounds;
}

} // namespace

void queue() {
  std::puts("queue: what a request costs the dispatcher; 64 in flight, two limits, 10 tenants");
  double most = 0;
  for (uint64_t queued : {100, 1000, 10'000, 100'000, 1'000'000}) {
    auto cost = dispatcher_cost(queued);
    std::printf("  %7lu queued: %.2f us\n", queued, cost);
    most = std::max(most, cost);
  }
  promise("under 5 us of CPU each", most < 5);
}

} // namespace modelforge::bench::rate_limits
