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
  x.max_wait = 3s;
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

TEST_CASE("a link of which one side alone saw the break is back within the time that calls wait for it", "[node]") {
  duration::rep longest = 0; // in percent of the bound
  for (auto [timeout, heartbeat] : {std::pair<duration, duration>{4s, 1s}, {300ms, 100ms}, {30s, 5s}})
    for (uint64_t seed = 0; seed < 500; ++seed) {
      std::mt19937_64 random{seed};
      auto draw = [&](duration below) {
        return duration{std::uniform_int_distribution<duration::rep>{0, below.count()}(random)};
      };
      peer_link x{link_settings_for(timeout), start};
      for (auto now = start; x.current() != state::up; x.advance(now))
        REQUIRE(x.next(now, random));
      auto cut = start + draw(1min);
      auto seen = cut + timeout + heartbeat + draw(heartbeat); // by the other side
      x.fail("the link broke", cut, random);
      auto now = cut;
      auto hangs = seed % 2 == 0; // the other side, until then, instead of refusing
      while (x.current() != state::up) {
        while (auto step = x.next(now, random)) {
          if (*step == state::probing || now >= seen) {
            now += draw(std::min<duration>(timeout, 1s) / 3);
            x.advance(now);
          } else if (!hangs) {
            x.fail("refused", now, random);
          }
        }
        if (auto wake = x.wake_at())
          now = std::max(now, *wake);
      }
      longest = std::max(longest, (now - cut) * 100 / max_relink_time(timeout, heartbeat));
      REQUIRE(now - cut <= max_relink_time(timeout, heartbeat));
    }
  CHECK(longest > 60); // the bound is no idle one
}

} // namespace modelforge::peer_link_test
