#include "node/peer_link.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <vector>

namespace modelforge::peer_link_test {

using namespace modelforge::node;
using namespace std::chrono_literals;

namespace {

using state = peer_link::state;

const time_point start{1h};

link_settings quick() {
  link_settings x;
  x.step = 2s;
  x.first_wait = 100ms;
  x.most_wait = 3s;
  return x;
}

} // namespace

TEST_CASE("a link comes up in three steps, each begun once", "[node]") {
  std::mt19937_64 random{1};
  peer_link x{quick(), start};
  CHECK(x.wake_at() == start);
  for (auto step : {state::probing, state::connecting, state::greeting}) {
    CHECK(x.next(start, random) == step);
    CHECK_FALSE(x.next(start, random));
    CHECK(x.wake_at() == start + 2s);
    x.advance(start + 1ms);
  }
  CHECK(x.current() == state::up);
  CHECK_FALSE(x.next(start + 1h, random));
  CHECK_FALSE(x.wake_at());
  CHECK(x.problem().empty());
  CHECK(x.since() == start + 1ms);
}

TEST_CASE("a step that takes too long fails, and what comes of it later is told apart", "[node]") {
  for (auto stuck : {state::probing, state::connecting, state::greeting}) {
    std::mt19937_64 random{1};
    peer_link x{quick(), start};
    while (x.next(start, random) != stuck)
      x.advance(start);
    auto attempt = x.attempt();
    CHECK_FALSE(x.next(start + 2s - 1ns, random));
    CHECK(x.attempt() == attempt);
    CHECK_FALSE(x.next(start + 2s, random)); // it waits now
    CHECK(x.current() == state::waiting);
    CHECK(x.attempt() != attempt);
    CHECK_FALSE(x.problem().empty());
  }
}

TEST_CASE("waits double up to a bound, are not in step, and begin anew after success", "[node]") {
  std::vector<duration> first, fifth;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    std::mt19937_64 random{seed};
    peer_link x{quick(), start};
    auto now = start;
    for (int failures = 1; failures <= 10; ++failures) {
      REQUIRE(x.next(now, random) == state::probing);
      x.fail("refused", now, random);
      REQUIRE_FALSE(x.next(now, random));
      auto wait = *x.wake_at() - now;
      auto most = std::min<duration>(3s, 100ms * (1 << (failures - 1)));
      CHECK((wait >= most / 2 && wait <= most));
      (failures == 1 ? first : fifth).push_back(wait);
      CHECK_FALSE(x.next(*x.wake_at() - 1ns, random));
      now = *x.wake_at();
    }
    for (auto step : {state::probing, state::connecting, state::greeting}) {
      REQUIRE(x.next(now, random) == step);
      x.advance(now);
    }
    x.fail("lost", now + 1h, random);
    CHECK(x.problem() == "lost");
    CHECK(x.since() == now + 1h);
    CHECK(*x.wake_at() - (now + 1h) <= 100ms);
  }
  CHECK(*std::max_element(first.begin(), first.end()) - *std::min_element(first.begin(), first.end()) > 40ms);
}

} // namespace modelforge::peer_link_test
