#include "tests/stream/world.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>

namespace modelforge::simulation_test {

namespace {

std::map<std::string, uint64_t> run_seeds(uint64_t from, uint64_t to) {
  const test::prose words;
  std::map<std::string, uint64_t> counts;
  for (auto seed = from; seed < to; ++seed) {
    test::world x{words, seed};
    INFO("again: MODELFORGE_SEED=" << seed << " stream-tests [seed]");
    REQUIRE(x.run() == "");
    for (auto& [what, count] : x.watched().counts())
      counts[what] += count;
  }
  return counts;
}

} // namespace

TEST_CASE("broadcast keeps its promises, the seed in MODELFORGE_SEED", "[.][stream][seed]") {
  auto* text = std::getenv("MODELFORGE_SEED");
  REQUIRE(text != nullptr);
  auto seed = std::strtoull(text, nullptr, 10);
  run_seeds(seed, seed + 1);
}

TEST_CASE("broadcast keeps its promises, seeds 0 to 999", "[stream][simulation]") {
  auto counts = run_seeds(0, 1'000);
  for (auto* what : {"abandoned",
                     "chunks",
                     "cut",
                     "done",
                     "failed",
                     "first_token",
                     "forgotten",
                     "joined chunks",
                     "kept back",
                     "late",
                     "late from a piece",
                     "late from the start",
                     "min_bytes_per_second",
                     "paused",
                     "refused as too early",
                     "refused as too late",
                     "resumed",
                     "rewound",
                     "slow: beyond log_limit",
                     "slow: beyond window",
                     "slow: idle",
                     "timeouts.idle",
                     "whole text",
                     "whole text beyond log_limit"}) {
    INFO(what << ": " << counts[what]);
    CHECK(counts[what] >= 10); // or these seeds show nothing of it
  }
}

TEST_CASE("broadcast keeps its promises, seeds 1,000 to 1,999", "[stream][simulation]") {
  run_seeds(1'000, 2'000);
}

TEST_CASE("broadcast keeps its promises, seeds 2,000 to 2,999", "[stream][simulation]") {
  run_seeds(2'000, 3'000);
}

} // namespace modelforge::simulation_test
