#include "dispatch/dispatcher.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <map>
#include <optional>
#include <queue>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

/// Batches before servers that take little: none of their items may be lost, and the server is to see few refusals.

namespace modelforge::pressure_test {

using namespace std::chrono_literals;

namespace {

using limits::duration;
using limits::time_point;

const time_point start{1000s};

/// What stands before the batch.
struct server {
  uint32_t places = UINT32_MAX;     ///< Requests at a time; the next is refused,
  duration queue{0};                ///< after it has waited so long for a place.
  uint32_t per_minute = UINT32_MAX; ///< In fixed minutes.
  duration pace{0};                 ///< Between two that it takes (a leaky bucket without a burst); names no wait.
  duration latency = 1s;
  bool varies = false;            ///< The latency, from half to one and a half times.
  uint16_t status = 429;          ///< Of a refusal.
  std::optional<duration> wait{}; ///< That a refusal names; for `per_minute` the minute's rest.
  duration late{0};               ///< Nobody listens until then.
  uint32_t other_places = 0;      ///< Taken by others.
  uint32_t refused_of_100 = 0;    ///< Requests, at random: all places are taken by others, or a gateway loses them.
  duration restarts{0};           ///< It restarts so often: what it has then is lost,
  duration away{0};               ///< and nobody listens for so long.
  bool has_gateway = false;       ///< That answers 502 while nobody listens.
};

struct outcome {
  uint64_t answered = 0;
  uint64_t lost = 0;
  uint64_t refused = 0;
  uint64_t pauses = 0;
  double took = 0;        ///< Seconds.
  uint32_t in_flight = 0; ///< That the lane has learned to keep.
};

double seconds(duration x) {
  return std::chrono::duration<double>{x}.count();
}

outcome run(const server& by, uint64_t items, uint32_t slots, duration until = 100h) {
  dispatcher_settings settings;
  settings.groups[0].max_concurrent = slots;
  dispatcher x{settings, 7};
  struct event {
    time_point at;
    uint64_t order;
    dispatcher::attempt_id attempt;
    int kind; ///< 0: answered, 1: refused at once, 2: its time in the queue is over, 3: nobody listens, 4: lost
    bool operator>(const event& y) const { return std::tie(at, order) > std::tie(y.at, y.order); }
  };
  std::priority_queue<event, std::vector<event>, std::greater<>> events;
  std::vector<dispatcher::attempt_id> queue;
  outcome result;
  uint64_t order = 0;
  uint32_t busy = by.other_places;
  std::map<int64_t, uint32_t> minutes;
  std::mt19937 random{7};
  time_point now = start;
  time_point paused{};
  time_point next_at{}; // when `pace` lets another in
  auto since_restart = [&] { return by.restarts > 0s ? (now - start) % by.restarts : duration{0}; };
  auto is_away = [&] { return now < start + by.late || (now - start >= by.restarts && since_restart() < by.away); };
  auto answer_later = [&](dispatcher::attempt_id attempt) {
    ++busy;
    auto latency = by.varies ? by.latency * static_cast<int>(500 + random() % 1001) / 1000 : by.latency;
    if (by.restarts > 0s && since_restart() + latency > by.restarts)
      events.push({now + by.restarts - since_restart(), ++order, attempt, 4});
    else
      events.push({now + latency, ++order, attempt, 0});
  };
  auto arrive = [&](dispatcher::attempt_id attempt) {
    if (is_away())
      return events.push({now + 1ms, ++order, attempt, 3});
    if (by.per_minute != UINT32_MAX && minutes[now.time_since_epoch() / 60s] >= by.per_minute)
      return events.push({now + 1ms, ++order, attempt, 1});
    if (now < next_at || random() % 100 < by.refused_of_100)
      return events.push({now + 1ms, ++order, attempt, 1});
    if (busy < by.places) {
      next_at = now + by.pace;
      ++minutes[now.time_since_epoch() / 60s];
      return answer_later(attempt);
    }
    if (by.queue == duration{0})
      return events.push({now + 1ms, ++order, attempt, 1});
    queue.push_back(attempt);
    events.push({now + by.queue, ++order, attempt, 2});
  };
  auto refuse = [&](dispatcher::attempt_id attempt) {
    dispatcher::attempt_end how;
    auto code = by.status == 429 ? errc::rate_limited : errc::overloaded;
    how.failed = retry::failed_attempt{.code = code, .status = by.status, .server_wait = by.wait};
    if (by.per_minute != UINT32_MAX)
      how.failed->server_wait = 60s - now.time_since_epoch() % 60s;
    ++result.refused;
    result.lost += x.end(attempt, how, now).then == dispatcher::settlement::what::answer;
    if (auto to = x.lane_of(0, 0).paused_until(); to != paused)
      result.pauses += std::exchange(paused, to) <= now;
  };
  for (uint64_t i = 1; i <= items; ++i)
    REQUIRE_FALSE(x.accept({.id = {1, i}, .rank = priority::batch, .bytes = 1}, now));
  while (!x.empty() && now < start + until) {
    while (auto step = x.next(now)) {
      if (auto* send = std::get_if<dispatcher::dispatch>(&*step)) {
        x.written(send->attempt, now);
        arrive(send->attempt);
      } else if (std::get_if<dispatcher::give_up>(&*step) != nullptr) {
        ++result.lost;
      }
    }
    auto wake = x.wake_at(now);
    if (!wake && events.empty())
      break;
    if (events.empty() || (wake && *wake < events.top().at)) {
      now = *wake;
      continue;
    }
    auto e = events.top();
    events.pop();
    now = e.at;
    switch (e.kind) {
      case 0:
        --busy;
        if (!queue.empty()) {
          auto first = queue.front();
          queue.erase(queue.begin());
          answer_later(first);
        }
        ++result.answered;
        x.end(e.attempt, {}, now);
        break;
      case 1:
        refuse(e.attempt);
        break;
      case 2:
        if (std::erase(queue, e.attempt) > 0)
          refuse(e.attempt);
        break;
      default:
        dispatcher::attempt_end how;
        busy -= e.kind == 4;
        how.failed = retry::failed_attempt{.code = errc::connection_lost};
        if (by.has_gateway)
          how.failed = retry::failed_attempt{.code = errc::server_error, .status = 502};
        else if (e.kind == 3)
          how.failed = retry::failed_attempt{.code = errc::connect_failed, .written = false};
        how.written = by.has_gateway || e.kind == 4;
        result.lost += x.end(e.attempt, how, now).then == dispatcher::settlement::what::answer;
    }
  }
  result.took = seconds(now - start);
  result.in_flight = x.lane_of(0, 0).parallel().limit();
  return result;
}

void check(const std::string& name, const server& by, double ideal, double most, uint32_t slots = 16) {
  auto got = run(by, 500, slots);
  INFO(name << ", " << slots << " slots: " << got.answered << " answered, " << got.lost << " lost, " << got.refused
            << " refused, " << got.pauses << " pauses, " << got.took << " s, ideal " << ideal << " s");
  CHECK(got.answered == 500);
  CHECK(got.lost == 0);
  CHECK(got.refused <= got.pauses + got.answered / 10);
  CHECK(got.took <= most * ideal);
}

} // namespace

TEST_CASE("a batch ends whole before a server that takes few at a time", "[dispatch][pressure]") {
  for (auto slots : {5u, 16u, 64u}) {
    check("one place, a minute's wait", {.places = 1, .wait = 60s}, 500, 1.25, slots);
    check("one place, no wait named", {.places = 1}, 500, 1.2, slots);
    check("two places, a second's wait", {.places = 2, .latency = 3s, .wait = 1s}, 750, 1.2, slots);
    check("five places, a second's wait", {.places = 5, .latency = 3s, .wait = 1s}, 300, 1.3, slots);
    check("two places, 503 with a wait", {.places = 2, .latency = 3s, .status = 503, .wait = 2s}, 750, 1.2, slots);
    check("two places, 503", {.places = 2, .latency = 3s, .status = 503}, 750, 1.2, slots);
    check("a queue that times out", {.places = 1, .queue = 5s, .status = 503}, 500, 1.2, slots);
    check("a long queue that times out", {.places = 2, .queue = 5s, .latency = 3s, .status = 503}, 750, 1.2, slots);
  }
}

TEST_CASE("a batch ends whole before a server that takes few a minute", "[dispatch][pressure]") {
  check("60 a minute, quick", {.per_minute = 60, .latency = 100ms}, 480, 1.15);
  check("60 a minute, slow", {.per_minute = 60, .latency = 10s}, 480, 1.6);
  check("8 a minute", {.per_minute = 8, .latency = 1s}, 3720, 1.1);
}

TEST_CASE("a batch ends whole before a server that takes few a second", "[dispatch][pressure]") {
  for (auto status : {uint16_t{429}, uint16_t{503}})
    for (auto slots : {1u, 5u, 16u}) {
      auto name = "status " + std::to_string(status);
      check(name + ", two a second, quick", {.pace = 500ms, .latency = 50ms, .status = status}, 250, 1.7, slots);
      // Two that go together are refused, so the lane learns that the server takes one at a time: slower, but whole.
      check(name + ", two a second, slow", {.pace = 500ms, .latency = 3s, .status = status}, 1500, 1.1, slots);
      check(name + ", one in ten seconds", {.pace = 10s, .latency = 1s, .status = status}, 5000, 1.7, slots);
    }
}

TEST_CASE("a batch ends whole before a server that others keep busy", "[dispatch][pressure]") {
  for (uint16_t status : {429, 503}) {
    INFO(status);
    auto got = run({.status = status, .wait = 1s, .refused_of_100 = 60}, 500, 16);
    CHECK(got.answered == 500);
    CHECK(got.lost == 0);
    CHECK(got.refused > 500); // more than once each, so an item that could be tried three times would often be lost
    CHECK(got.refused <= got.pauses + got.answered / 10);
  }
}

TEST_CASE("a batch is as fast as its slots allow before a server that refuses at random", "[dispatch][pressure]") {
  for (auto slots : {4u, 16u, 64u}) {
    auto items = std::min(250 * slots, 4'000u);
    auto ideal = run({.varies = true, .status = 503}, items, slots).took; // a refusal takes no time
    for (auto share : {2u, 6u, 8u, 15u, 22u}) {
      if (slots == 64 && share == 22)
        continue; // five refusals in a row, before any answer, open the breaker until their share is known
      auto got = run({.varies = true, .status = 503, .refused_of_100 = share}, items, slots);
      INFO(slots << " slots, " << share << " % refused: " << got.took << " s, ideal " << ideal << " s, " << got.refused
                 << " refused, " << got.in_flight << " in flight");
      CHECK(got.answered == items);
      CHECK(got.lost == 0);
      CHECK(got.took < (slots < 64 ? 1.25 : 1.65) * ideal); // the more go at once, the more the beginning weighs
    }
  }
}

TEST_CASE("a batch ends whole before a server that comes late", "[dispatch][pressure]") {
  auto got = run({.latency = 1s, .late = 100s}, 500, 16);
  CHECK(got.answered == 500);
  CHECK(got.lost == 0);
  CHECK(got.took < 160);
}

TEST_CASE("a batch ends whole before a server that restarts, and behind a gateway", "[dispatch][pressure]") {
  for (auto has_gateway : {false, true}) {
    INFO("gateway: " << has_gateway);
    auto late = run({.latency = 1s, .late = 100s, .has_gateway = has_gateway}, 500, 16);
    CHECK(late.answered == 500);
    CHECK(late.lost == 0);
    CHECK(late.took < 160);
    auto restarted = run({.latency = 2s, .restarts = 20s, .away = 2s, .has_gateway = has_gateway}, 500, 16);
    CHECK(restarted.answered == 500);
    CHECK(restarted.lost == 0);
    INFO(restarted.took << " s");
    CHECK(restarted.took < 260); // of each 22 s the breaker is open for 10
  }
}

TEST_CASE("a lane takes up what a server takes again", "[dispatch][pressure]") {
  auto got = run({.places = 64, .latency = 1s, .wait = 1s, .other_places = 60}, 300, 16);
  CHECK(got.in_flight <= 5);
  CHECK(got.lost == 0);
}

TEST_CASE("an item that is refused for its own sake is given up", "[dispatch][pressure]") {
  dispatcher_settings settings;
  dispatcher x{settings, 7};
  auto now = start;
  for (uint64_t i = 1; i <= 100; ++i)
    REQUIRE_FALSE(x.accept({.id = {1, i}, .rank = priority::batch, .bytes = 1}, now));
  auto refusals = 0;
  uint64_t answered = 0;
  auto ended = false;
  std::vector<dispatcher::attempt_id> under_way;
  while (!x.empty()) {
    REQUIRE(refusals < 1000);
    while (auto step = x.next(now))
      if (auto* send = std::get_if<dispatcher::dispatch>(&*step))
        under_way.push_back(send->attempt);
    if (under_way.empty()) {
      now = *x.wake_at(now);
      continue;
    }
    now += 10ms;
    auto attempt = under_way.front();
    under_way.erase(under_way.begin());
    if (x.request_of(attempt) != request_id{1, 50}) {
      ++answered;
      x.end(attempt, {}, now);
      if (answered < 500)
        REQUIRE_FALSE(x.accept({.id = {1, 1000 + answered}, .rank = priority::batch, .bytes = 1}, now));
      if (ended)
        break;
      continue;
    }
    ++refusals;
    dispatcher::attempt_end how;
    how.failed = retry::failed_attempt{.code = errc::rate_limited, .status = 429, .server_wait = 1s};
    ended = x.end(attempt, how, now).then == dispatcher::settlement::what::answer;
  }
  CHECK(ended);
}

TEST_CASE("a batch's own deadline bounds how long an item is refused", "[dispatch][pressure]") {
  dispatcher x{dispatcher_settings{}, 7};
  auto now = start;
  REQUIRE_FALSE(x.accept({.id = {1, 1}, .rank = priority::batch, .bytes = 1, .deadline = start + 100s}, now));
  auto ended = false;
  while (!ended) {
    REQUIRE(now <= start + 100s);
    while (auto step = x.next(now))
      if (auto* send = std::get_if<dispatcher::dispatch>(&*step)) {
        dispatcher::attempt_end how;
        how.failed = retry::failed_attempt{.code = errc::rate_limited, .status = 429, .server_wait = 7s};
        ended = x.end(send->attempt, how, now).then == dispatcher::settlement::what::answer;
      } else {
        ended = true;
      }
    if (!ended)
      now = *x.wake_at(now);
  }
  CHECK(now > start + 90s);
}

} // namespace modelforge::pressure_test
