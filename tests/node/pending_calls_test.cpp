#include "node/pending_calls.hpp"

#include <catch2/catch_test_macros.hpp>

#include <map>
#include <random>
#include <vector>

namespace modelforge::pending_calls_test {

using node::pending_calls;
using namespace std::chrono_literals;

namespace {

using time_point = pending_calls::time_point;

const time_point start{1h};

std::vector<pending_calls::step> all(pending_calls& x, time_point now) {
  std::vector<pending_calls::step> result;
  while (auto step = x.next(now))
    result.push_back(*step);
  return result;
}

pending_calls::send sent(const pending_calls::step& x) {
  return std::get<pending_calls::send>(x);
}

pending_calls::end ended(const pending_calls::step& x) {
  return std::get<pending_calls::end>(x);
}

} // namespace

TEST_CASE("calls wait for an owner that is expected, and go out in their order", "[node]") {
  pending_calls x{{}, start};
  auto a = x.add({}, start);
  auto b = x.add(start + 10s, start);
  CHECK(all(x, start).empty());
  CHECK(x.wake_at() == start + 4s);
  x.up(start + 1s);
  auto steps = all(x, start + 1s);
  REQUIRE(steps.size() == 2);
  CHECK((sent(steps[0]).call == a && sent(steps[0]).attempt == 1));
  CHECK(sent(steps[1]).call == b);
  CHECK(x.wake_at() == start + 15s); // its deadline, and what the owner may need to say so
  x.remove(a);
  x.remove(b);
  CHECK_FALSE(x.wake_at());
  CHECK(x.size() == 0);
}

TEST_CASE("an owner that does not come is not waited for longer than its patience", "[node]") {
  pending_calls x{{}, start};
  auto a = x.add({}, start);
  auto b = x.add(start + 1s, start);
  auto steps = all(x, start + 1s);
  REQUIRE(steps.size() == 1);
  CHECK((ended(steps[0]).call == b && ended(steps[0]).code == errc::deadline_exceeded));
  steps = all(x, start + 4s);
  REQUIRE(steps.size() == 1);
  CHECK((ended(steps[0]).call == a && ended(steps[0]).code == errc::node_lost && ended(steps[0]).attempts == 0));
  x.add({}, start + 5s); // later ones hear it at once
  CHECK(all(x, start + 5s).size() == 1);
}

TEST_CASE("an owner that is given up is not waited for until it is there", "[node]") {
  pending_calls x{{}, start};
  x.add({}, start);
  x.give_up(start);
  auto steps = all(x, start);
  REQUIRE(steps.size() == 1);
  CHECK(ended(steps[0]).code == errc::node_lost);
  x.up(start + 1s);
  x.add({}, start + 1s);
  CHECK(sent(all(x, start + 1s).at(0)).attempt == 1);
}

TEST_CASE("a call that a lost owner had is sent again, or not, as the settings say", "[node]") {
  for (auto again : {true, false}) {
    pending_calls x{{.retry_uncertain = again, .max_attempts = 2}, start};
    x.up(start);
    auto a = x.add({}, start);
    REQUIRE(all(x, start).size() == 1);
    x.lost(start + 1s);
    auto steps = all(x, start + 1s);
    if (!again) {
      REQUIRE(steps.size() == 1);
      CHECK((ended(steps[0]).code == errc::outcome_unknown && ended(steps[0]).attempts == 1));
      continue;
    }
    CHECK(steps.empty());
    x.up(start + 2s);
    steps = all(x, start + 2s);
    REQUIRE(steps.size() == 1);
    CHECK((sent(steps[0]).call == a && sent(steps[0]).attempt == 2));
    x.lost(start + 3s);
    steps = all(x, start + 3s);
    REQUIRE(steps.size() == 1);
    CHECK((ended(steps[0]).code == errc::node_lost && ended(steps[0]).attempts == 2));
  }
}

TEST_CASE("whatever happens when, each call ends once and none is forgotten", "[node]") {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random{seed};
    auto draw = [&](int below) { return std::uniform_int_distribution{0, below - 1}(random); };
    pending_calls::settings how{.retry_uncertain = draw(2) == 0, .max_attempts = 1u + uint32_t(draw(3))};
    auto now = start;
    pending_calls x{how, now};
    std::map<pending_calls::call_id, uint32_t> alive; // attempts that went out
    std::map<pending_calls::call_id, std::optional<time_point>> deadlines;
    auto up = false;
    auto lost_at = start;
    std::size_t over = 0, made = 0;
    auto step_through = [&] {
      for (auto& step : all(x, now)) {
        if (auto* send = std::get_if<pending_calls::send>(&step)) {
          REQUIRE(up);
          REQUIRE(alive.count(send->call) == 1);
          REQUIRE(++alive[send->call] == send->attempt);
          REQUIRE(send->attempt <= how.max_attempts);
          REQUIRE((send->attempt == 1 || how.retry_uncertain));
        } else {
          auto& end = std::get<pending_calls::end>(step);
          REQUIRE(alive.count(end.call) == 1);
          REQUIRE(end.attempts == alive[end.call]);
          if (end.code == errc::deadline_exceeded)
            REQUIRE((deadlines[end.call] && *deadlines[end.call] <= now));
          if (end.code == errc::outcome_unknown)
            REQUIRE((!how.retry_uncertain && end.attempts == 1));
          if (end.code == errc::node_lost)
            REQUIRE((!up && (now >= lost_at + how.patience || end.attempts == how.max_attempts)));
          alive.erase(end.call);
          ++over;
        }
      }
    };
    for (int i = 0; i < 400; ++i) {
      switch (draw(6)) {
        case 0:
        case 1: {
          std::optional<time_point> deadline;
          if (draw(2) == 0)
            deadline = now + 100ms * (1 + draw(80));
          auto id = x.add(deadline, now);
          alive[id] = 0;
          deadlines[id] = deadline;
          ++made;
          break;
        }
        case 2:
          if (!alive.empty() && draw(2) == 0) {
            auto id = std::next(alive.begin(), draw(int(alive.size())))->first;
            x.remove(id);
            alive.erase(id);
            ++over;
          }
          break;
        case 3:
          if (up)
            lost_at = now;
          up = !up;
          up ? x.up(now) : x.lost(now);
          break;
        default:
          now += 50ms * draw(40);
      }
      step_through();
      REQUIRE(x.size() == alive.size());
      if (auto wake = x.wake_at())
        REQUIRE(*wake > now);
      REQUIRE((up || alive.empty() || now < lost_at + how.patience)); // none is left that had to end
    }
    if (up)
      lost_at = now;
    x.lost(now);
    up = false;
    step_through();
    while (auto wake = x.wake_at()) {
      now = *wake;
      step_through();
    }
    CHECK(over == made);
    CHECK(x.size() == 0);
  }
}

} // namespace modelforge::pending_calls_test
