#include "tests/dispatch/world.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <random>

namespace modelforge::simulation_test {

using namespace std::chrono_literals;
using test::world;

namespace {

/// A number between `least` and `most`, small ones as likely as large ones.
uint64_t scale(std::mt19937_64& random, double least, double most) {
  return static_cast<uint64_t>(std::exp(std::uniform_real_distribution<>{std::log(least), std::log(most)}(random)));
}

world::plan draw_plan(uint64_t seed) {
  std::mt19937_64 random{seed * 7919 + 1};
  auto chance = [&](double p) { return std::uniform_real_distribution<>{}(random) < p; };
  auto share = [&](double most) { return most * std::uniform_real_distribution<>{}(random); };
  world::plan x;
  auto& group = x.settings.groups[0];
  auto requests = scale(random, 5, 600);
  auto& limit = group.limits.per_minute;
  if (chance(0.8))
    limit[0] = requests;
  x.max_input = scale(random, 100, 5000);
  x.max_output = scale(random, 10, 3000);
  auto tokens = 2 * (x.max_input + x.max_output) + requests * (x.max_input / 4 + x.max_output / 4);
  if (!limit[0] || chance(0.6))
    limit[1] = tokens;
  if (chance(0.3))
    limit[2] = tokens;
  if (chance(0.3))
    limit[3] = tokens;
  group.limits.burst = scale(random, 1, 60);
  group.limits.window = chance(0.5) ? 60s : chance(0.5) ? 20s : 10s;
  for (std::size_t i = 1; i < 4; ++i)
    if (limit[i])
      *limit[i] = *limit[i] * 60s / group.limits.window;
  group.max_concurrent = static_cast<uint32_t>(scale(random, 2, 300));
  group.interactive_slots = chance(0.5) ? 1 : 0;
  group.breaker.enabled = chance(0.5);
  group.breaker.open_for = std::chrono::seconds{scale(random, 1, 30)};
  x.settings.keys = chance(0.7) ? 1 : chance(0.5) ? 2 : 3;
  x.settings.retry.max_attempts = static_cast<uint32_t>(scale(random, 1, 6));
  x.settings.wait_on_empty_budget = {chance(0.3), chance(0.8)};
  x.settings.wait_when_open = {chance(0.3), chance(0.8)};
  x.settings.max_queued = static_cast<uint32_t>(scale(random, 20, 20000));
  x.accounting.tokens = static_cast<limits::token_accounting>(random() % 4);
  x.accounting.output = static_cast<limits::output_rule>(random() % 2);
  x.requests_per_second = static_cast<double>(requests * x.settings.keys) / 60 * (0.3 + share(1.5));
  auto hours = std::clamp(4000 / x.requests_per_second / 3600, 1.0, 8.0);
  x.length = std::chrono::seconds{static_cast<int64_t>(hours * 3600)};
  x.burst_share = chance(0.5) ? share(0.05) : 0;
  x.idle_share = chance(0.5) ? share(1) : 0;
  x.estimate_error = chance(0.7) ? share(0.5) : 0;
  x.deadline_share = chance(0.7) ? share(1) : 0;
  x.cancel_share = chance(0.5) ? share(0.3) : 0;
  x.fault_share = chance(0.6) ? share(0.6) : 0;
  x.restart_share = chance(0.3) ? 1.0 / 300 : 0;
  x.tenants = static_cast<uint32_t>(scale(random, 1, 20));
  x.batch_share = chance(0.5) ? share(1) : 0;
  x.greedy = chance(0.7);
  x.absurd_share = chance(0.3) ? share(0.05) : 0;
  x.oversize_share = chance(0.3) ? share(0.05) : 0;
  if (chance(0.4)) {
    x.model_limits.resize(1 + random() % 4);
    for (auto& model : x.model_limits) {
      auto part = 1 + random() % 5;
      if (chance(0.7))
        model[0] = 1 + requests / part;
      if (chance(0.5))
        model[1] = 1 + tokens / part;
    }
    x.lie_share = chance(0.5) ? share(1) : 0;
  }
  x.slowest_answer = std::chrono::milliseconds{scale(random, 10, 90'000)};
  x.slowest_write = std::chrono::milliseconds{scale(random, 1, 200)};
  x.network = std::chrono::milliseconds{scale(random, 1, 500)};
  if (chance(0.5))
    x.nodes = std::min(x.tenants, static_cast<uint32_t>(scale(random, 1, 5)));
  return x;
}

void run_seeds(uint64_t from, uint64_t to) {
  for (auto seed = from; seed < to; ++seed) {
    world x{draw_plan(seed), seed};
    x.run();
    INFO("again: MODELFORGE_SEED=" << seed << " dispatch-tests [.]; " << x.asked() << " requests, "
                                   << x.attempts().size() << " attempts, " << x.restarts() << " restarts");
    REQUIRE(x.check() == "");
    REQUIRE(x.asked() > 100);
  }
}

} // namespace

TEST_CASE("dispatcher keeps its promises, the seed in MODELFORGE_SEED", "[.][dispatch]") {
  auto* text = std::getenv("MODELFORGE_SEED");
  REQUIRE(text != nullptr);
  auto seed = std::strtoull(text, nullptr, 10);
  run_seeds(seed, seed + 1);
}

TEST_CASE("dispatcher keeps its promises, seeds 0 to 59", "[dispatch][simulation]") {
  run_seeds(0, 60);
}

TEST_CASE("dispatcher keeps its promises, seeds 60 to 119", "[dispatch][simulation]") {
  run_seeds(60, 120);
}

TEST_CASE("dispatcher keeps its promises, seeds 120 to 179", "[dispatch][simulation]") {
  run_seeds(120, 180);
}

TEST_CASE("dispatcher keeps its promises, seeds 180 to 239", "[dispatch][simulation]") {
  run_seeds(180, 240);
}

TEST_CASE("dispatcher keeps its promises while groups of models and keys change", "[dispatch][simulation]") {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    auto plan = draw_plan(seed);
    plan.restart_share = 0;
    plan.models = 1 + seed % 5;
    plan.length = std::min<limits::duration>(plan.length, 20min);
    plan.reload_share = seed % 2 == 0 ? 1.0 / 60 : 1.0 / 5;
    world x{plan, seed};
    x.run();
    INFO("seed " << seed << "; " << x.asked() << " requests, " << x.attempts().size() << " attempts");
    REQUIRE(x.check() == "");
  }
}

TEST_CASE("dispatcher refuses no tenant whose turn comes in time, though others have queues",
          "[dispatch][simulation]") {
  uint64_t refused = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    std::mt19937_64 random{seed};
    world::plan plan;
    auto& group = plan.settings.groups[0];
    group.limits.per_minute[0] = scale(random, 30, 300);
    group.limits.window = 10s;
    group.max_concurrent = 1000;
    plan.accounting.tokens = limits::token_accounting::none;
    plan.settings.retry.max_attempts = 1;
    plan.tenants = 2 + static_cast<uint32_t>(random() % 3);
    plan.nodes = 1 + static_cast<uint32_t>(seed % 3 == 0);
    plan.greedy = true;
    plan.burst_share = 0.1;
    plan.requests_per_second = static_cast<double>(*group.limits.per_minute[0]) / 60 / 5;
    plan.batch_share = seed % 2 == 0 ? 0 : 0.3;
    plan.deadline_share = 0.5;
    plan.length = 3h;
    world x{plan, seed};
    x.run();
    INFO("seed " << seed);
    REQUIRE(x.check() == "");
    refused += x.asked() - x.attempts().size();
  }
  CHECK(refused > 100); // who asks for too much
}

} // namespace modelforge::simulation_test
