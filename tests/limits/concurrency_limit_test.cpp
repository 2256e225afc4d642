#include "limits/concurrency_limit.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <vector>

namespace modelforge::concurrency_limit_test {

using namespace modelforge::limits;
using namespace std::chrono_literals;

namespace {

using kind = concurrency_limit::kind;
using sample = concurrency_limit::sample;

const time_point start{1000s};

duration from_seconds(double x) {
  return std::chrono::duration_cast<duration>(std::chrono::duration<double>(x));
}

/// A server in virtual time, whose every request takes fixed + per token x tokens, give or take.
struct server {
  uint32_t slots = 8;   ///< Worked on at once.
  bool shares = false;  ///< Whether more slow all down, as on a batching GPU; otherwise they queue in order.
  double fixed = 0.050; ///< Seconds, the prompt: until the first token.
  double per_token = 0.005;
  double slowness = 1;                                     ///< Factor of both.
  double jitter = 0.1;                                     ///< Standard deviation, relative.
  uint32_t fewest = 20;                                    ///< Tokens.
  uint32_t most = 120;                                     ///< Tokens.
  uint32_t refuses = std::numeric_limits<uint32_t>::max(); ///< To have more in flight.
};

/// A client that always has another request, and sends as many at a time as a limit allows.
class simulation {
public:
  struct request {
    double begun, left, prompt_left;
    uint32_t tokens, in_flight;
    bool is_stream;
    double first_token = -1;
  };

  simulation(const server& x, double share, uint64_t seed) : at(x), streams(share), random_(seed) {}

  /// Runs for `span` seconds.
  void run(double span, const std::function<uint32_t()>& limit, const std::function<void(const sample&)>& told) {
    auto until = now_ + span;
    while (now_ < until) {
      while (under_way_.size() < limit()) {
        if (under_way_.size() >= at.refuses) {
          ++refused;
          told({.took = 5ms, .overloaded = true, .in_flight = static_cast<uint32_t>(under_way_.size() + 1)});
          break;
        }
        begin();
      }
      advance(until, told);
    }
  }

  void run(
    double span, concurrency_limit& x, const std::function<void()>& look = [] {}) {
    run(
      span, [&] { return x.limit(); },
      [&](const sample& s) {
        x.on_end(s, now());
        look();
      });
  }

  time_point now() const { return start + from_seconds(now_); }

  server at;
  double streams; ///< The share of requests that are streams.
  uint64_t answers = 0;
  uint64_t refused = 0;

private:
  double uniform() { return static_cast<double>(random_() >> 11) * 0x1p-53; }

  void begin() {
    auto tokens = at.fewest + static_cast<uint32_t>(random_() % (at.most - at.fewest + 1));
    auto noise = 1 + at.jitter * 2 * (uniform() + uniform() + uniform() - 1.5);
    auto scale = std::max(0.1, noise) * at.slowness;
    under_way_.push_back({now_, scale * (at.fixed + at.per_token * tokens), scale * at.fixed, tokens,
                          static_cast<uint32_t>(under_way_.size() + 1), uniform() < streams});
  }

  /// Goes to the next first token or answer.
  void advance(double until, const std::function<void(const sample&)>& told) {
    auto busy = at.shares ? under_way_.size() : std::min<std::size_t>(at.slots, under_way_.size());
    auto rate = at.shares ? std::min(1.0, at.slots / static_cast<double>(busy)) : 1;
    auto step = (until - now_) * rate;
    for (std::size_t i = 0; i < busy; ++i)
      step = std::min(step, under_way_[i].first_token < 0 ? under_way_[i].prompt_left : under_way_[i].left);
    now_ += step / rate;
    for (std::size_t i = 0; i < busy; ++i) {
      under_way_[i].left -= step;
      under_way_[i].prompt_left -= step;
    }
    for (std::size_t i = 0; i < busy; ++i) {
      auto& x = under_way_[i];
      if (x.first_token < 0 && x.prompt_left <= 1e-12) {
        x.first_token = now_;
        if (x.is_stream)
          told({.kind = kind::stream, .took = from_seconds(now_ - x.begun), .in_flight = x.in_flight});
      }
      if (x.left > 1e-12)
        continue;
      auto ended = x;
      under_way_.erase(under_way_.begin() + static_cast<std::ptrdiff_t>(i));
      ++answers;
      if (!ended.is_stream)
        told({.took = from_seconds(now_ - ended.begun), .output_tokens = ended.tokens, .in_flight = ended.in_flight});
      return;
    }
  }

  std::mt19937_64 random_;
  double now_ = 0;
  std::vector<request> under_way_; ///< In order of arrival.
};

/// Answers in a minute with the best fixed limit.
uint64_t best_fixed(const server& x, double streams, uint64_t seed) {
  uint64_t best = 0;
  for (uint32_t limit = 1; limit <= 2 * x.slots; ++limit) {
    simulation s{x, streams, seed};
    s.run(
      60, [&] { return limit; }, [](const sample&) {});
    best = std::max(best, s.answers);
  }
  return best;
}

/// What was seen of a limit.
struct seen {
  uint32_t least = std::numeric_limits<uint32_t>::max();
  uint32_t most = 0;

  void look(const concurrency_limit& x) {
    least = std::min(least, x.limit());
    most = std::max(most, x.limit());
  }
};

/// Settles for `settling` answers, then measures for `span` seconds.
struct outcome_of {
  seen limits;
  double throughput; ///< Answers a second.
};

outcome_of settle(simulation& s, concurrency_limit& x, uint64_t settling, double span) {
  for (auto before = s.answers; s.answers < before + settling;)
    s.run(0.1, x);
  seen limits;
  auto before = s.answers;
  s.run(span, x, [&] { limits.look(x); });
  return {limits, static_cast<double>(s.answers - before) / span};
}

const bool both[] = {false, true};

} // namespace

TEST_CASE("concurrency limit settles at what a server works on at once", "[limits][concurrency]") {
  for (auto shares : both)
    for (auto streams : {0.0, 1.0, 0.5}) {
      server at{.shares = shares};
      auto best = static_cast<double>(best_fixed(at, streams, 99)) / 60;
      for (uint64_t seed = 1; seed <= 10; ++seed) {
        INFO("shares " << shares << ", streams " << streams << ", seed " << seed);
        simulation s{at, streams, seed};
        concurrency_limit x{{.max = 64}};
        auto [limits, throughput] = settle(s, x, 400, 200);
        CHECK(limits.least >= 6);
        CHECK(limits.most <= 10);
        CHECK(throughput >= 0.9 * best);
      }
    }
}

TEST_CASE("concurrency limit follows a server that changes", "[limits][concurrency]") {
  for (auto shares : both)
    for (auto streams : {0.0, 1.0})
      for (uint64_t seed = 1; seed <= 10; ++seed) {
        INFO("shares " << shares << ", streams " << streams << ", seed " << seed);
        simulation s{{.shares = shares}, streams, seed};
        concurrency_limit x{{.max = 64}};
        settle(s, x, 400, 60);
        s.at.slots = 3;
        auto fewer = settle(s, x, 400, 120);
        CHECK(fewer.limits.least >= 1);
        CHECK(fewer.limits.most <= 5);
        CHECK(fewer.throughput >= 0.9 * 3 / 0.4);
        s.at.slots = 20;
        auto more = settle(s, x, 700, 60);
        CHECK(more.limits.least >= 14);
        CHECK(more.limits.most <= 26);
        CHECK(more.throughput >= 0.9 * 20 / 0.4);
      }
}

TEST_CASE("concurrency limit forgets how long a model took that is gone", "[limits][concurrency]") {
  for (auto streams : {0.0, 1.0})
    for (uint64_t seed = 1; seed <= 10; ++seed) {
      INFO("streams " << streams << ", seed " << seed);
      simulation s{{}, streams, seed};
      concurrency_limit x{{.max = 64}};
      settle(s, x, 400, 60);
      for (auto slowness : {3.0, 0.5, 1.0}) {
        INFO("slowness " << slowness);
        s.at.slowness = slowness;
        auto [limits, throughput] = settle(s, x, 600, 200);
        CHECK(limits.least >= 5);
        CHECK(limits.most <= 11);
        CHECK(throughput >= 0.9 * 8 / 0.4 / slowness);
      }
    }
}

TEST_CASE("concurrency limit tells long answers from slow ones", "[limits][concurrency]") {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    INFO("seed " << seed);
    simulation s{{}, 0, seed};
    concurrency_limit x{{.max = 64}};
    settle(s, x, 400, 60);
    for (auto [fewest, most] : {std::pair{5u, 20u}, {60u, 200u}, {20u, 120u}}) {
      INFO("tokens " << fewest << " to " << most);
      s.at.fewest = fewest;
      s.at.most = most;
      auto [limits, throughput] = settle(s, x, 400, 100);
      CHECK(limits.least >= 4);
      CHECK(limits.most <= 12);
      CHECK(throughput >= 0.9 * 8 / (0.05 + 0.005 * (fewest + most) / 2));
    }
  }
}

TEST_CASE("concurrency limit measures again even if nothing seems to change", "[limits][concurrency]") {
  for (auto streams : {0.0, 1.0})
    for (uint64_t seed = 1; seed <= 5; ++seed) {
      INFO("streams " << streams << ", seed " << seed);
      simulation s{{.shares = true, .jitter = 0.02}, streams, seed};
      concurrency_limit x{{.max = 64}};
      settle(s, x, 400, 60);
      uint32_t measurements = 0;
      uint64_t during = 0, answers = s.answers;
      bool was = false;
      s.run(600, x, [&] {
        measurements += x.is_measuring() && !was ? 1 : 0;
        during += x.is_measuring() ? 1 : 0;
        was = x.is_measuring();
      });
      CHECK(measurements >= 15);
      CHECK(during <= (s.answers - answers) / 10);
    }
}

TEST_CASE("concurrency limit tells long prompts from a late first token", "[limits][concurrency]") {
  concurrency_limit x{{.max = 8, .initial = 8}};
  std::mt19937_64 random{1};
  auto now = start;
  seen limits;
  for (int i = 0; i < 2000; ++i) {
    now += 100ms;
    auto prompt = (i < 1000 ? 100 : 5'000) + random() % 1000;
    auto took = std::chrono::microseconds{20'000 + 100 * prompt + random() % 5'000};
    x.on_end({.kind = kind::stream, .took = took, .input_tokens = prompt, .in_flight = 8}, now);
    limits.look(x);
  }
  CHECK(limits.least >= 7);
}

TEST_CASE("concurrency limit finds few slots although it began with more", "[limits][concurrency]") {
  for (auto slots : {1u, 2u})
    for (auto streams : {0.0, 1.0})
      for (uint64_t seed = 1; seed <= 10; ++seed) {
        INFO("slots " << slots << ", streams " << streams << ", seed " << seed);
        simulation s{{.slots = slots}, streams, seed};
        concurrency_limit x{{.max = 64}};
        auto [limits, throughput] = settle(s, x, 600, 300);
        CHECK(limits.most <= slots + 2);
        CHECK(throughput >= 0.9 * slots / 0.4);
      }
}

TEST_CASE("concurrency limit holds against noise", "[limits][concurrency]") {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    INFO("seed " << seed);
    simulation s{{.jitter = 0.3}, 0, seed};
    concurrency_limit x{{.max = 64}};
    auto [limits, throughput] = settle(s, x, 600, 300);
    CHECK(limits.least >= 4);
    CHECK(limits.most <= 12);
    CHECK(throughput >= 0.9 * 8 / 0.4);
  }
}

TEST_CASE("concurrency limit stays below what a server refuses", "[limits][concurrency]") {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    INFO("seed " << seed);
    simulation s{{.refuses = 8}, 0, seed};
    concurrency_limit x{{.max = 64}};
    auto [limits, throughput] = settle(s, x, 400, 200);
    CHECK(limits.least >= 4);
    CHECK(limits.most <= 9);
    CHECK(throughput >= 0.85 * 8 / 0.4);
    CHECK(s.refused < s.answers / 40);
  }
}

TEST_CASE("concurrency limit stays within its bounds", "[limits][concurrency]") {
  simulation s{{.slots = 50}, 0, 1};
  concurrency_limit x{{.max = 6}};
  seen limits;
  s.run(300, x, [&] { limits.look(x); });
  CHECK(limits.most == 6);
  for (int i = 0; i < 100; ++i)
    x.on_end({.took = 1ms, .overloaded = true, .in_flight = 6}, s.now() + i * 1s);
  CHECK(x.limit() == 1);
  CHECK(concurrency_limit{{.max = 0, .initial = 0}}.limit() == 1);
  CHECK(concurrency_limit{{.max = 3, .initial = 9}}.limit() == 3);
}

TEST_CASE("concurrency limit does not grow under light load", "[limits][concurrency]") {
  for (auto [in_flight, grows] : {std::pair{3u, false}, {4u, true}}) {
    concurrency_limit x{{.max = 64, .initial = 8}};
    auto now = start;
    for (int i = 0; i < 10'000; ++i) {
      now += 100ms;
      x.on_end({.took = 90ms, .output_tokens = 10, .in_flight = in_flight}, now);
    }
    CHECK((x.limit() > 8) == grows);
    CHECK(x.limit() <= 9); // twice what is in flight, and no more
  }
}

TEST_CASE("concurrency limit does not collapse when a model slows down under light load", "[limits][concurrency]") {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    INFO("seed " << seed);
    concurrency_limit x{{.max = 64, .initial = 8}};
    std::mt19937_64 random{seed};
    auto now = start;
    seen limits;
    for (int i = 0; i < 4'000; ++i) {
      now += 100ms;
      auto noise = std::chrono::milliseconds{random() % 50};
      x.on_end(
        {.took = (i < 500 + static_cast<int>(seed) ? 100ms : 200ms) + noise, .output_tokens = 10, .in_flight = 3}, now);
      limits.look(x);
    }
    CHECK(limits.least >= 5);
  }
}

TEST_CASE("concurrency limit shrinks by a quarter at most once a round trip", "[limits][concurrency]") {
  concurrency_limit x{{.max = 100, .initial = 64}};
  sample refused{.took = 10s, .overloaded = true, .in_flight = 64};
  x.on_end(refused, start + 10s); // began at `start`
  CHECK(x.limit() == 48);
  x.on_end(refused, start + 20s); // began when it was lowered, or before
  x.on_end(refused, start + 15s);
  CHECK(x.limit() == 48);
  x.on_end(refused, start + 20s + 1ns);
  CHECK(x.limit() == 36);
  x.on_end({.took = 1s, .overloaded = true, .begun = start + 20s}, start + 40s); // told late
  CHECK(x.limit() == 36);
}

TEST_CASE("concurrency limit shrinks from where it is while measuring", "[limits][concurrency]") {
  simulation s{{}, 0, 1};
  concurrency_limit x{{.max = 64}};
  while (!x.is_measuring())
    s.run(0.01, x);
  auto lowered = x.limit();
  x.on_end({.overloaded = true, .in_flight = lowered}, s.now());
  CHECK_FALSE(x.is_measuring());
  CHECK(x.limit() == std::lround(0.75 * lowered));
}

TEST_CASE("concurrency limit comes back from a storm to a slower model", "[limits][concurrency]") {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    INFO("seed " << seed);
    simulation s{{}, 0, seed};
    concurrency_limit x{{.max = 64}};
    settle(s, x, 400, 60);
    s.at.slowness = 6;
    for (int i = 0; i < 60; ++i) {
      x.on_end({.overloaded = true, .in_flight = 8}, s.now());
      s.run(0.1, x);
    }
    CHECK(x.limit() == 1);
    auto [limits, throughput] = settle(s, x, 300, 200);
    CHECK(limits.least >= 6);
    CHECK(limits.most <= 10);
    CHECK(throughput >= 0.9 * 8 / 0.4 / 6);
  }
}

TEST_CASE("concurrency limit finds many slots", "[limits][concurrency]") {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    INFO("seed " << seed);
    simulation s{{.slots = 100}, 0, seed};
    concurrency_limit x{{.max = 300}};
    auto [limits, throughput] = settle(s, x, 3'000, 100);
    CHECK(limits.most <= 135);
    CHECK(throughput >= 0.9 * 100 / 0.4);
  }
}

TEST_CASE("concurrency limit keeps the kinds apart", "[limits][concurrency]") {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    INFO("seed " << seed);
    simulation s{{}, 0.5, seed};
    concurrency_limit x{{.max = 64}};
    for (auto streams : {0.5, 0.0, 1.0, 0.02}) {
      INFO("streams " << streams);
      s.streams = streams;
      auto [limits, throughput] = settle(s, x, 400, 100);
      CHECK(limits.least >= 5);
      CHECK(limits.most <= 11);
      CHECK(throughput >= 0.9 * 8 / 0.4);
    }
  }
}

TEST_CASE("concurrency limit counts only what began after it moved", "[limits][concurrency]") {
  concurrency_limit x{{.max = 100, .initial = 8}};
  auto now = start;
  auto answer = [&](duration took, std::optional<time_point> begun) {
    now += 100ms;
    x.on_end({.kind = kind::stream, .took = took, .in_flight = x.limit(), .begun = begun}, now);
  };
  while (x.limit() == 8)
    answer(50ms, {});
  auto moved = now;
  auto grown = x.limit();
  CHECK(grown > 8);
  for (int i = 0; i < 1000; ++i)
    answer(50ms, moved - 1ns); // streams told at their end
  CHECK(x.limit() == grown);
  for (int i = 0; i < 1000; ++i)
    answer(50ms, moved);
  CHECK(x.limit() > grown);
  x.on_end({.overloaded = true}, now);
  moved = now;
  auto shrunk = x.limit();
  for (int i = 0; i < 1000; ++i)
    answer(50ms, moved - 1ns);
  CHECK(x.limit() == shrunk);
}

TEST_CASE("concurrency limit shrugs at an outlier, and at nothing at all", "[limits][concurrency]") {
  concurrency_limit x{{.max = 9, .initial = 9}};
  auto now = start;
  seen limits;
  for (int i = 0; i < 2000; ++i) {
    now += 100ms;
    x.on_end({.took = i % 50 == 0 ? duration{60s} : 400ms, .output_tokens = 70, .in_flight = 9, .begun = now}, now);
    limits.look(x);
  }
  CHECK(limits.least >= 7);
  concurrency_limit y{{.max = 9, .initial = 4}};
  for (int i = 0; i < 2000; ++i)
    y.on_end({.in_flight = 9}, start);
  CHECK(y.limit() == 9);
  simulation s{{.slots = 4}, 0, 1};
  s.run(100, y); // none of it stuck
  CHECK(y.limit() >= 2);
  CHECK(y.limit() <= 6);
}

} // namespace modelforge::concurrency_limit_test
