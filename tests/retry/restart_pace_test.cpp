#include "retry/restart_pace.hpp"

#include <catch2/catch_test_macros.hpp>

namespace modelforge::restart_pace_test {

using namespace std::chrono_literals;
using retry::restart_pace;

TEST_CASE("restarts come at once, then ever slower, and at once again after a quiet time", "[retry]") {
  restart_pace x;
  restart_pace::time_point now{1000s};
  CHECK(x.ended(now) == 0s);
  for (auto wait : {100ms, 200ms, 400ms, 800ms, 1600ms, 3200ms, 6400ms, 12800ms, 25600ms, 51200ms, 60000ms, 60000ms}) {
    CHECK(x.ended(now) == wait);
    now += wait + 1s;
  }
  for (int i = 0; i < 1000; ++i)
    CHECK(x.ended(now) == 60s);
  now += 60s + 10min - 1ns;
  CHECK(x.ended(now) == 60s);
  now += 60s + 10min;
  CHECK(x.ended(now) == 0s);
  CHECK(x.ended(now) == 100ms);
  CHECK(x.ends() == 1016);
}

} // namespace modelforge::restart_pace_test
