#include "batch/run_shares.hpp"

#include <catch2/catch_test_macros.hpp>

namespace modelforge::run_shares_test {

using batch::run_shares;
using batch::run_terms;

TEST_CASE("a result is of the run that began last before it", "[batch]") {
  run_terms a{{"model", "a"}};
  run_terms b{{"model", "b"}};
  run_shares runs;
  runs.add(5, true); // of a ledger that does not know
  runs.begin(10, a);
  runs.add(11, true);
  runs.add(12, false);
  runs.begin(20, b);
  runs.begin(30, a);
  runs.add(31, true);
  auto shares = runs.shares();
  REQUIRE(shares.size() == 2);
  CHECK(shares[0].made_with.empty());
  CHECK(shares[0].ok == 1);
  CHECK(shares[1].made_with == a);
  CHECK(shares[1].ok == 2);
  CHECK(shares[1].failed == 1);
  runs.remove(11, true);
  runs.remove(5, true);
  runs.add(21, false);
  shares = runs.shares();
  REQUIRE(shares.size() == 2);
  CHECK(shares[0].made_with == a);
  CHECK(shares[0].ok == 1);
  CHECK(shares[1].made_with == b);
  CHECK(shares[1].failed == 1);
}

TEST_CASE("runs differ in what both of them name", "[batch]") {
  CHECK(batch::differences({{"a", "1"}, {"b", "2"}, {"c", "3"}}, {{"a", "4"}, {"b", "2"}, {"d", "5"}})
        == "a: 1, now 4");
  CHECK(batch::differences({}, {{"a", "1"}}).empty());
}

} // namespace modelforge::run_shares_test
