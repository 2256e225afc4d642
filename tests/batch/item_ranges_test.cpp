#include "batch/item_ranges.hpp"

#include <catch2/catch_test_macros.hpp>

#include <random>
#include <set>
#include <utility>

namespace modelforge::item_ranges_test {

using batch::item_ranges;

namespace {

std::multiset<int> owners(item_ranges<int>& of, uint64_t item) {
  std::multiset<int> result;
  of.each_owner(item, [&](int x) { result.insert(x); });
  return result;
}

} // namespace

TEST_CASE("an item's owners are those whose ranges have it", "[batch][ranges]") {
  item_ranges<int> none;
  CHECK(owners(none, 0).empty());
  for (unsigned seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    std::mt19937 random{seed};
    item_ranges<int> x;
    std::vector<std::pair<uint64_t, uint64_t>> naive;
    for (auto i = 0; i < 20; ++i) {
      uint64_t first = random() % 40, last = first + random() % (seed % 2 == 0 ? 3 : 30);
      if (i % 7 == 6)
        std::swap(first, last);
      x.add(first, last, i);
      naive.emplace_back(first, last);
    }
    for (uint64_t item = 0; item < 80; ++item) {
      std::multiset<int> expected;
      for (std::size_t i = 0; i < naive.size(); ++i)
        if (naive[i].first <= item && item <= naive[i].second)
          expected.insert(static_cast<int>(i));
      REQUIRE(owners(x, item) == expected);
    }
  }
}

TEST_CASE("a million items that alternate between two owners are found in no time", "[batch][ranges]") {
  item_ranges<int> x;
  constexpr uint64_t items = 1'000'000;
  for (auto owner : {1, 0}) // as two jobs' entries have them, one behind the other
    for (auto i = static_cast<uint64_t>(owner); i < items; i += 2)
      x.add(i, i, owner);
  uint64_t right = 0;
  for (uint64_t i = 0; i < items; ++i) // with a walk through all ranges: a day
    x.each_owner(i, [&](int owner) { right += owner == static_cast<int>(i % 2); });
  CHECK(right == items);
}

} // namespace modelforge::item_ranges_test
