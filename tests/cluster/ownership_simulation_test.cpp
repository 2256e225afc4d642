#include "tests/cluster/world.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstdlib>
#include <random>

namespace modelforge::ownership_simulation_test {

// Nodes that fail, stop and lose what they send, and their store, in virtual time.

using test::ownership_world;

namespace {

constexpr int64_t ms = 1'000'000;
constexpr int64_t s = 1000 * ms;

/// What the sanitizers make slow is done in part.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t part = 5;
#else
constexpr uint64_t part = 1;
#endif

ownership_world::plan draw_plan(uint64_t seed) {
  std::mt19937_64 random{seed * 6271 + 3};
  auto share = [&](double most) { return most * std::uniform_real_distribution<>{}(random); };
  auto chance = [&](double p) { return share(1) < p; };
  ownership_world::plan x;
  x.nodes = 2 + random() % 4;
  if (chance(0.6))
    x.hand_back_after = std::chrono::milliseconds{1 + random() % 10'000};
  x.clock_error = share(0.02);
  x.trouble = (5 + static_cast<int64_t>(random() % 35)) * s;
  x.faults_a_second = chance(0.8) ? share(0.5) : 0;
  x.loss = chance(0.6) ? share(chance(0.2) ? 0.7 : 0.2) : 0;
  x.slow_share = chance(0.6) ? share(chance(0.2) ? 1 : 0.2) : 0;
  x.slowest = static_cast<int64_t>(share(6)) * s + ms;
  x.usual = static_cast<int64_t>(share(chance(0.3) ? 600 : 20)) * ms;
  x.garbage = chance(0.3) ? share(0.1) : 0;
  x.outage = chance(0.5) ? share(0.2) : 0;
  return x;
}

void run_seeds(uint64_t from, uint64_t to) {
  ownership_world::figures sum;
  for (auto seed = from; seed < to; seed += part) {
    ownership_world x{draw_plan(seed), seed};
    INFO("again: MODELFORGE_SEED=" << seed << " cluster-tests [.ownership]");
    REQUIRE(x.run() == "");
    auto& seen = x.totals();
    sum.turns += seen.turns;
    sum.tenures += seen.tenures;
    sum.faults += seen.faults;
    sum.late += seen.late;
    sum.moves += seen.moves;
    sum.hand_backs += seen.hand_backs;
    sum.slowest_move = std::max(sum.slowest_move, seen.slowest_move);
    sum.slowest_takeover = std::max(sum.slowest_takeover, seen.slowest_takeover);
  }
  auto seeds = (to - from) / part;
  CAPTURE(sum.turns, sum.tenures, sum.faults, sum.late, sum.moves, sum.hand_backs);
  CAPTURE(sum.slowest_move / ms, sum.slowest_takeover / ms);
  CHECK(sum.tenures > 5 * seeds); // else not much has been tried
  CHECK(sum.faults > 5 * seeds);
  CHECK(sum.late > seeds / 2);
  CHECK(sum.moves > seeds / 4);
  CHECK(sum.hand_backs > seeds / 4);
}

} // namespace

TEST_CASE("one node at a time owns a provider, the seed in MODELFORGE_SEED, or FROM-TO", "[.][.ownership]") {
  auto* text = std::getenv("MODELFORGE_SEED");
  REQUIRE(text != nullptr);
  char* end = nullptr;
  auto seed = std::strtoull(text, &end, 10);
  auto last = *end == '-' ? std::strtoull(end + 1, nullptr, 10) : seed;
  ownership_world::figures worst;
  for (; seed <= last; ++seed) {
    ownership_world x{draw_plan(seed), seed};
    INFO("seed " << seed);
    CHECK(x.run() == "");
    worst.turns += x.totals().turns;
    worst.tenures += x.totals().tenures;
    worst.slowest_move = std::max(worst.slowest_move, x.totals().slowest_move);
    worst.slowest_takeover = std::max(worst.slowest_takeover, x.totals().slowest_takeover);
  }
  WARN(worst.turns << " turns, " << worst.tenures << " tenures, slowest planned move " << worst.slowest_move / ms
                   << " ms, slowest takeover " << worst.slowest_takeover / ms << " ms");
}

TEST_CASE("one node at a time owns a provider, seeds 0 to 999", "[ownership][simulation]") {
  run_seeds(0, 1000);
}

TEST_CASE("one node at a time owns a provider, seeds 1000 to 1999", "[ownership][simulation]") {
  run_seeds(1000, 2000);
}

} // namespace modelforge::ownership_simulation_test
