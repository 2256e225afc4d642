#include "tests/batch/world.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <random>

namespace modelforge::batch_simulation_test {

// Whole batches, from the first run to the one that makes them whole, in virtual time.

using namespace std::chrono_literals;
using test::batch_world;

namespace {

/// What the sanitizers make slow is done in part.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t part = 5;
#else
constexpr uint64_t part = 1;
#endif

/// A number between `least` and `most`, small ones as likely as large ones.
uint64_t scale(std::mt19937_64& random, double least, double most) {
  return static_cast<uint64_t>(std::exp(std::uniform_real_distribution<>{std::log(least), std::log(most)}(random)));
}

batch_world::plan draw_plan(uint64_t seed) {
  std::mt19937_64 random{seed * 7919 + 1};
  auto chance = [&](double p) { return std::uniform_real_distribution<>{}(random) < p; };
  auto share = [&](double most) { return most * std::uniform_real_distribution<>{}(random); };
  batch_world::plan x;
  x.items = scale(random, 1, 160);
  x.broken_share = chance(0.3) ? share(0.3) : 0;
  x.models = static_cast<uint32_t>(chance(0.7) ? 1 : scale(random, 1, 6));
  x.providers = chance(0.4) ? 1 : 1 + random() % 4;
  x.has_ledger = chance(0.9);
  x.wait_share = share(0.2);
  x.job_runs = chance(0.3) ? 0 : chance(0.5) ? 1 : share(1);
  x.limits.max_unsafe = scale(random, 1, 200);
  x.limits.max_jobs = scale(random, 1, 10);
  x.limits.max_job_bytes = chance(0.2) ? scale(random, 600, 6000) : 1u << 20;
  x.job_items = scale(random, 1, 60);
  x.slowest_answer = std::chrono::milliseconds{scale(random, 1, 60'000)};
  x.slowest_sync = std::chrono::milliseconds{scale(random, 1, 2000)};
  x.full_share = chance(0.4) ? share(0.5) : 0;
  x.flawed_share = chance(0.5) ? share(0.3) : 0;
  x.outage_share = chance(0.4) ? 0.05 + share(0.8) : 0;
  x.refuse_share = chance(0.2) ? share(0.3) : 0;
  x.no_api_share = chance(0.2) ? share(1) : 0;
  x.not_run_share = chance(0.4) ? share(0.5) : 0;
  x.silent_share = chance(0.3) ? share(0.3) : 0;
  x.unreadable_share = chance(0.3) ? share(1) : 0;
  x.unsendable_share = chance(0.3) ? share(0.2) : 0;
  x.repeat_share = chance(0.4) ? share(0.5) : 0;
  x.queue_room = chance(0.3) ? scale(random, 1, 40) - 1 : SIZE_MAX;
  x.troubled_runs = static_cast<uint32_t>(random() % 7);
  auto steps = static_cast<double>(scale(random, 2, 20 + 10 * static_cast<double>(x.items)));
  x.crash_share = chance(0.7) ? 1 / steps : 0;
  x.cancel_share = chance(0.4) ? 1 / steps : 0;
  x.disk_share = chance(0.2) ? share(0.2) : 0;
  x.drain_share = chance(0.2) ? share(0.1) : 0;
  x.undecided_share = chance(0.3) ? share(0.6) : 0;
  x.lost_runner_share = chance(0.2) ? share(0.5) : 0;
  x.input_share = chance(0.1) ? 1 / steps : 0;
  x.cancel_jobs_share = chance(0.3) ? share(0.6) : 0;
  x.missing_share = chance(0.2) ? share(0.5) : 0;
  return x;
}

void run_seeds(uint64_t from, uint64_t to) {
  batch_world::figures sum;
  for (auto seed = from; seed < to; seed += part) {
    batch_world x{draw_plan(seed), seed};
    x.run();
    auto& seen = x.seen();
    INFO("again: MODELFORGE_SEED=" << seed << " batch-tests [.]; " << seen.runs << " runs, " << seen.steps << " steps, "
                                   << seen.jobs << " jobs");
    REQUIRE(x.check() == "");
    sum.runs += seen.runs;
    sum.crashes += seen.crashes;
    sum.stops += seen.stops;
    sum.sent += seen.sent;
    sum.jobs += seen.jobs;
    sum.taken_up += seen.taken_up;
  }
  auto seeds = (to - from) / part;
  CAPTURE(sum.runs, sum.crashes, sum.stops, sum.sent, sum.jobs, sum.taken_up);
  CHECK(sum.runs > 2 * seeds); // else not much has been tried
  CHECK(sum.crashes > seeds / 2);
  CHECK(sum.stops > seeds / 4);
  CHECK(sum.sent > 5 * seeds);
  CHECK(sum.jobs > 2 * seeds);
  CHECK(sum.taken_up > seeds / 4);
}

} // namespace

TEST_CASE("a batch keeps its promises, the seed in MODELFORGE_SEED, or FROM-TO", "[.][batch]") {
  auto* text = std::getenv("MODELFORGE_SEED");
  REQUIRE(text != nullptr);
  char* end = nullptr;
  auto seed = std::strtoull(text, &end, 10);
  auto last = *end == '-' ? std::strtoull(end + 1, nullptr, 10) : seed;
  for (; seed <= last; ++seed) {
    batch_world x{draw_plan(seed), seed};
    x.run();
    INFO("seed " << seed);
    CHECK(x.check() == "");
  }
}

TEST_CASE("a batch keeps its promises, seeds 0 to 999", "[batch][simulation]") {
  run_seeds(0, 1000);
}

TEST_CASE("a batch keeps its promises, seeds 1000 to 1999", "[batch][simulation]") {
  run_seeds(1000, 2000);
}

TEST_CASE("a batch keeps its promises, seeds 2000 to 2999", "[batch][simulation]") {
  run_seeds(2000, 3000);
}

} // namespace modelforge::batch_simulation_test
