#include "batch/gather.hpp"

#include <catch2/catch_test_macros.hpp>

#include <random>
#include <vector>

using namespace modelforge;

TEST_CASE("gather returns every result once, in the order of the input", "[batch]") {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random{seed};
    std::size_t open = 1 + random() % 8;
    std::size_t span = open + random() % 20;
    batch::gather<uint64_t> x{open, span};
    std::vector<uint64_t> running;
    std::vector<uint64_t> taken;
    uint64_t started = 0;
    while (taken.size() < 500) {
      while (started < 500 && x.may_start()) {
        running.push_back(x.start());
        ++started;
      }
      REQUIRE(running.size() <= open);
      REQUIRE(started - taken.size() <= span);
      auto i = random() % running.size();
      x.finish(running[i], running[i] * 3);
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
      while (auto result = x.take())
        taken.push_back(*result);
    }
    CHECK(x.empty());
    for (uint64_t i = 0; i < 500; ++i)
      REQUIRE(taken[i] == 3 * i);
  }
}

TEST_CASE("gather stops starting items that a slow one would make pile up", "[batch]") {
  batch::gather<int> x{2, 5};
  x.start(); // item 0 never ends
  for (int i = 0; i < 4; ++i) {
    REQUIRE(x.may_start());
    x.finish(x.start(), i);
  }
  CHECK_FALSE(x.may_start());
  x.finish(0, 99);
  CHECK(x.take() == 99);
  CHECK(x.may_start());
}
