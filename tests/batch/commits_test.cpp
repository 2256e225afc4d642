#include "batch/commits.hpp"

#include <catch2/catch_test_macros.hpp>

namespace modelforge::commits_test {

using batch::commits;

namespace {

uint64_t receipt(const std::optional<batch::safe_step>& x) {
  return x ? std::get<batch::confirm_results>(*x).receipt : 0;
}

} // namespace

TEST_CASE("a step waits for all that was given before it, and for nothing given later", "[batch][commits]") {
  commits x;
  x.when_safe(batch::confirm_results{1}); // nothing was given
  CHECK(receipt(x.next()) == 1);
  CHECK(x.give() == 1);
  CHECK(x.give() == 2);
  x.when_safe(batch::confirm_results{2});
  CHECK(x.give() == 3);
  x.when_safe(batch::confirm_results{3});
  x.keep(1);
  CHECK_FALSE(x.next());
  CHECK(x.unsafe() == 2);
  x.keep(2);
  CHECK(receipt(x.next()) == 2);
  CHECK_FALSE(x.next());
  CHECK(x.has_waiting());
  x.keep(3);
  CHECK(receipt(x.next()) == 3);
  CHECK_FALSE(x.has_waiting());
}

TEST_CASE("what waits when nothing can be kept any more is dropped", "[batch][commits]") {
  commits x;
  x.give();
  x.when_safe(batch::confirm_results{1});
  x.close();
  CHECK(x.closed());
  CHECK_FALSE(x.has_waiting());
  CHECK_FALSE(x.next());
}

} // namespace modelforge::commits_test
