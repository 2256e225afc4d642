#include "batch/spread.hpp"

#include <catch2/catch_test_macros.hpp>

#include <map>

namespace modelforge::spread_test {

using namespace std::chrono_literals;
using batch::provider_load;

TEST_CASE("items go out by weight, evenly mixed", "[batch][spread]") {
  batch::spread x;
  std::vector<provider_load> loads(3);
  loads[0].weight = 5;
  loads[1].weight = loads[2].weight = 1;
  std::string order;
  for (int i = 0; i < 14; ++i)
    order += static_cast<char>('a' + *x.pick(loads));
  CHECK(order == "aabacaaaabacaa"); // nginx's example
}

TEST_CASE("without weights the least predicted wait decides, then the emptier one", "[batch][spread]") {
  batch::spread x;
  std::vector<provider_load> loads{{0, 8, 10, 2s}, {0, 3, 4, 1s}, {0, 1, 2, 1s}};
  CHECK(x.pick(loads) == 2);
  loads[2].in_flight = 2;
  CHECK(x.pick(loads) == 1);
  loads[1].out = true;
  CHECK(x.pick(loads) == 2);
  loads[2].out = true;
  CHECK(x.pick(loads) == 0);
  loads[0].out = true;
  CHECK_FALSE(x.pick(loads));
}

TEST_CASE("one that is out loses its share to the others, and gets no more than its share later", "[batch][spread]") {
  batch::spread x;
  std::vector<provider_load> loads(3);
  for (auto& load : loads)
    load.weight = 1;
  loads[2].out = true;
  std::map<std::size_t, int> count;
  for (int i = 0; i < 100; ++i)
    ++count[*x.pick(loads)];
  CHECK(count == std::map<std::size_t, int>{{0, 50}, {1, 50}});
  loads[2].out = false;
  count.clear();
  for (int i = 0; i < 300; ++i)
    ++count[*x.pick(loads)];
  CHECK(count == std::map<std::size_t, int>{{0, 100}, {1, 100}, {2, 100}});
}

} // namespace modelforge::spread_test
