#include "node/pending_calls.hpp"

#include <catch2/catch_test_macros.hpp>

#include <map>
#include <random>
#include <set>
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
  auto a = x.add({});
  auto b = x.add({.deadline = start + 10s});
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
  auto a = x.add({});
  auto b = x.add({.deadline = start + 1s});
  CHECK(all(x, start).empty());
  auto steps = all(x, start + 1s);
  REQUIRE(steps.size() == 1);
  CHECK((ended(steps[0]).call == b && ended(steps[0]).code == errc::deadline_exceeded));
  steps = all(x, start + 4s);
  REQUIRE(steps.size() == 1);
  CHECK((ended(steps[0]).call == a && ended(steps[0]).code == errc::node_lost && ended(steps[0]).attempts == 0));
  x.add({}); // later ones hear it at once
  CHECK(all(x, start + 5s).size() == 1);
}

TEST_CASE("an owner that is lost is waited for as long as a link may take to come back", "[node]") {
  pending_calls x{{.patience = 14s}, start};
  x.up(start);
  auto a = x.add({});
  REQUIRE(all(x, start).size() == 1);
  x.lost(start + 1s);
  CHECK(all(x, start + 14s).empty());
  CHECK(x.wake_at() == start + 15s);
  x.up(start + 14s);
  auto steps = all(x, start + 14s);
  REQUIRE(steps.size() == 1);
  CHECK((sent(steps[0]).call == a && sent(steps[0]).attempt == 2));
}

TEST_CASE("batch items wait for their owner for as long as it is away", "[node]") {
  pending_calls x{{}, start};
  auto item = x.add({.patient = true});
  auto bounded = x.add({.deadline = start + 1h, .patient = true});
  CHECK(all(x, start + 30min).empty());
  x.up(start + 30min);
  REQUIRE(all(x, start + 30min).size() == 2);
  x.lost(start + 31min);
  CHECK(all(x, start + 59min).empty());
  auto steps = all(x, start + 1h);
  REQUIRE(steps.size() == 1);
  CHECK((ended(steps[0]).call == bounded && ended(steps[0]).code == errc::deadline_exceeded));
  x.up(start + 24h);
  steps = all(x, start + 24h);
  REQUIRE(steps.size() == 1);
  CHECK((sent(steps[0]).call == item && sent(steps[0]).attempt == 2));
  x.give_up(start + 25h); // it does not run the provider: what it has, it has
  CHECK(all(x, start + 25h).empty());
  x.add({.patient = true});
  REQUIRE(all(x, start + 25h).size() == 1);
}

TEST_CASE("an owner that is given up is not waited for until it is there", "[node]") {
  pending_calls x{{}, start};
  x.add({});
  x.give_up(start);
  auto steps = all(x, start);
  REQUIRE(steps.size() == 1);
  CHECK(ended(steps[0]).code == errc::node_lost);
  x.up(start + 1s);
  x.add({});
  CHECK(sent(all(x, start + 1s).at(0)).attempt == 1);
}

TEST_CASE("calls for which there is no room wait in their order, and no longer than their deadline", "[node]") {
  pending_calls x{{}, start};
  x.up(start);
  uint64_t room = 100;
  auto fits = [&](uint64_t bytes) {
    auto result = bytes <= room;
    room -= result ? bytes : 0;
    return result;
  };
  auto steps_at = [&](time_point now) {
    std::vector<pending_calls::step> result;
    while (auto step = x.next(now, fits))
      result.push_back(*step);
    return result;
  };
  auto a = x.add({.bytes = 60});
  auto b = x.add({.deadline = start + 5s, .bytes = 60});
  auto c = x.add({.bytes = 10});
  auto question = x.add({});
  auto steps = steps_at(start);
  REQUIRE(steps.size() == 2);
  CHECK(sent(steps[0]).call == question); // too small to count
  CHECK(sent(steps[1]).call == a);
  CHECK(x.is_held());
  SECTION("until there is room") {
    room = 60;
    CHECK(steps_at(start + 1s).empty()); // nobody has said so
    x.open();
    steps = steps_at(start + 1s);
    REQUIRE(steps.size() == 1);
    CHECK((sent(steps[0]).call == b && sent(steps[0]).attempt == 1));
    CHECK(x.is_held());
    room = 10;
    x.open();
    CHECK(sent(steps_at(start + 2s).at(0)).call == c);
    CHECK_FALSE(x.is_held());
  }
  SECTION("until the deadline, and then the next one needs less") {
    CHECK(x.wake_at() == start + 5s);
    steps = steps_at(start + 5s);
    REQUIRE(steps.size() == 2);
    auto end = ended(steps[0]);
    CHECK((end.call == b && end.code == errc::deadline_exceeded && end.attempts == 0 && end.owner == 0));
    CHECK(sent(steps[1]).call == c);
  }
  SECTION("until one before it is withdrawn") {
    x.remove(b);
    CHECK(sent(steps_at(start).at(0)).call == c);
  }
  SECTION("until the owner is lost, and they go to the next one first") {
    x.lost(start + 1s);
    CHECK_FALSE(x.is_held());
    CHECK(steps_at(start + 1s).empty());
    room = 1000;
    x.up(start + 2s);
    x.open();
    steps = steps_at(start + 2s);
    REQUIRE(steps.size() == 4);
    CHECK((sent(steps[1]).call == a && sent(steps[1]).attempt == 2));
    CHECK((sent(steps[2]).call == b && sent(steps[2]).attempt == 1));
  }
}

TEST_CASE("an owner that does not run the provider is looked for until it does", "[node]") {
  pending_calls x{{}, start};
  x.give_up(start);
  CHECK(all(x, start).empty());
  int looks = 0;
  auto now = start;
  for (; now < start + 1min; now = *x.wake_at()) {
    for (auto& step : all(x, now)) {
      REQUIRE(std::holds_alternative<pending_calls::look>(step));
      ++looks;
      x.give_up(now + 1ms); // it is told again
    }
    REQUIRE(x.wake_at());
    CHECK(*x.wake_at() - now <= 1s);
  }
  CHECK(looks > 55);
  CHECK(looks < 70);
  x.up(now);
  CHECK_FALSE(x.wake_at());
  x.lost(now + 1h); // the link: its node comes by itself
  CHECK(all(x, now + 1h).empty());
  CHECK_FALSE(x.wake_at());
}

TEST_CASE("an owner that ends as soon as it is found is not looked for all the time", "[node]") {
  pending_calls x{{}, start};
  int looks = 0;
  auto now = start;
  auto owner = x.up(now);
  for (x.lost(owner, now + 1ms); now < start + 1min; now = *x.wake_at()) {
    for (auto& step : all(x, now)) {
      REQUIRE(std::holds_alternative<pending_calls::look>(step));
      ++looks;
      auto next = x.up(now);
      x.lost(next, now); // dead already
    }
    REQUIRE(x.wake_at());
    REQUIRE(*x.wake_at() > now);
  }
  CHECK(looks > 55);
  CHECK(looks < 70);
  owner = x.up(now);
  x.lost(owner, now + 1h); // one that has lasted: at once
  CHECK(all(x, now + 1h).size() == 1);
}

TEST_CASE("a call that a lost owner had is sent again, or not, as the settings say", "[node]") {
  for (auto again : {true, false}) {
    pending_calls x{{.retry_uncertain = again, .max_attempts = 2}, start};
    x.up(start);
    auto a = x.add({});
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

TEST_CASE("what the owner reports counts, and so does the attempt that it was about to make", "[node]") {
  pending_calls x{{.max_attempts = 4}, start};
  x.up(start);
  auto a = x.add({});
  auto b = x.add({.spent = 3}); // others have made these
  auto steps = all(x, start);
  REQUIRE(steps.size() == 2);
  CHECK(sent(steps[0]).attempt == 1);
  CHECK(sent(steps[1]).attempt == 4);
  x.reported(a, 2);
  x.reported(99, 1);
  x.lost(start + 1s);
  steps = all(x, start + 1s);
  REQUIRE(steps.size() == 1);
  CHECK((ended(steps[0]).call == b && ended(steps[0]).attempts == 4));
  x.up(start + 2s);
  steps = all(x, start + 2s);
  REQUIRE(steps.size() == 1);
  CHECK((sent(steps[0]).call == a && sent(steps[0]).attempt == 4));
  x.reported(a, 0xFFFFFFFF); // an absurd figure ends the call at worst
  x.lost(start + 3s);
  steps = all(x, start + 3s);
  REQUIRE(steps.size() == 1);
  CHECK((ended(steps[0]).code == errc::node_lost && ended(steps[0]).attempts == 5));
}

TEST_CASE("an owner that takes nothing new rests, and keeps what it has", "[node]") {
  pending_calls x{{}, start};
  auto first = x.up(start);
  auto kept = x.add({});
  auto refused = x.add({.deadline = start + 1h});
  REQUIRE(all(x, start).size() == 2);
  x.given_back(refused, false, start);
  CHECK(x.is_resting());
  auto fresh = x.add({.deadline = start + 2h});
  CHECK(all(x, start).empty());
  auto now = start;
  auto looks = 0;
  while (now < start + 10s) { // not too seldom, not too often
    REQUIRE(x.wake_at());
    REQUIRE(*x.wake_at() > now);
    now = *x.wake_at();
    for (auto& step : all(x, now)) {
      REQUIRE(std::holds_alternative<pending_calls::look>(step));
      ++looks;
    }
  }
  CHECK(looks >= 10);
  CHECK(looks <= 15);
  SECTION("until another one takes its place") {
    auto second = x.up(now);
    auto steps = all(x, now);
    REQUIRE(steps.size() == 2);
    CHECK((sent(steps[0]).call == refused && sent(steps[0]).attempt == 1)); // it was not made
    CHECK(sent(steps[1]).call == fresh);
    CHECK(x.owner_of(kept) == first);
    CHECK(x.owner_of(fresh) == second);
    x.lost(first, now); // the old one has ended
    steps = all(x, now);
    REQUIRE(steps.size() == 1);
    CHECK((sent(steps[0]).call == kept && sent(steps[0]).attempt == 2));
    CHECK_FALSE(x.is_used(first));
  }
  SECTION("until its program is back, for as long as the calls may wait") {
    x.lost(now);
    auto steps = all(x, now + 10min);
    REQUIRE(steps.size() == 1);
    CHECK((ended(steps[0]).call == kept && ended(steps[0]).attempts == 1)); // that was under way is lost as ever
    x.up(now + 20min);
    steps = all(x, now + 20min);
    REQUIRE(steps.size() == 2);
    CHECK((sent(steps[0]).call == refused && sent(steps[0]).attempt == 1));
    CHECK(sent(steps[1]).call == fresh);
  }
}

TEST_CASE("a call that its owner cuts off in an attempt was possibly made", "[node]") {
  for (auto again : {true, false}) {
    pending_calls x{{.retry_uncertain = again, .max_attempts = 2}, start};
    x.up(start);
    auto a = x.add({});
    REQUIRE(all(x, start).size() == 1);
    x.given_back(a, true, start);
    auto steps = all(x, start);
    if (!again) {
      REQUIRE(steps.size() == 1);
      CHECK(ended(steps[0]).code == errc::outcome_unknown);
      continue;
    }
    CHECK(steps.empty());
    x.up(start + 1s);
    steps = all(x, start + 1s);
    REQUIRE(steps.size() == 1);
    CHECK(sent(steps[0]).attempt == 2);
    x.given_back(a, true, start + 2s);
    steps = all(x, start + 2s);
    REQUIRE(steps.size() == 1);
    CHECK((ended(steps[0]).code == errc::node_lost && ended(steps[0]).attempts == 2));
  }
}

TEST_CASE("an owner that has a call still, of a link that broke, is asked again", "[node]") {
  pending_calls x{{.patience = 2s}, start};
  x.up(start);
  auto a = x.add({});
  REQUIRE(all(x, start).size() == 1);
  CHECK_FALSE(x.busy(a, start)); // somebody else's of that id
  x.lost(start);
  x.up(start);
  REQUIRE(all(x, start).size() == 1);
  auto now = start;
  auto tries = 0;
  for (; x.busy(a, now); ++tries) {
    CHECK(all(x, now).empty());
    REQUIRE(x.wake_at());
    now = *x.wake_at();
    auto steps = all(x, now);
    REQUIRE(steps.size() == 1);
    CHECK(sent(steps[0]).attempt == 2);
  }
  CHECK(tries >= 3);
  CHECK(now >= start + 2s);
  CHECK(now < start + 4s);
}

TEST_CASE("whatever happens when, each call ends once, none is forgotten, and none is tried too often", "[node]") {
  for (uint64_t seed = 0; seed < 400; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random{seed};
    auto draw = [&](int below) { return std::uniform_int_distribution{0, below - 1}(random); };
    pending_calls::settings how{.retry_uncertain = draw(2) == 0, .max_attempts = 1u + uint32_t(draw(4))};
    auto now = start;
    pending_calls x{how, now};
    struct known {
      std::optional<time_point> deadline;
      bool patient = false;
      uint32_t told = 0; ///< Attempts before the owner got it.
      uint32_t made = 0; ///< By all, as the provider saw them.
      pending_calls::owner_id at = 0;
      bool under_way = false;
    };
    std::map<pending_calls::call_id, known> alive;
    std::set<pending_calls::owner_id> owners;
    auto lost_at = start;
    std::size_t over = 0, made = 0;
    auto step_through = [&] {
      for (auto& step : all(x, now)) {
        if (auto* send = std::get_if<pending_calls::send>(&step)) {
          auto& y = alive.at(send->call);
          REQUIRE(x.owner() != 0);
          REQUIRE_FALSE(x.is_resting());
          REQUIRE(y.at == 0);
          REQUIRE(send->attempt > y.made); // what was made is known to have been made
          REQUIRE(send->attempt <= how.max_attempts);
          y.told = y.made = send->attempt - 1;
          y.at = x.owner();
          REQUIRE(x.owner_of(send->call) == y.at);
        } else if (auto* end = std::get_if<pending_calls::end>(&step)) {
          auto& y = alive.at(end->call);
          REQUIRE(end->attempts >= y.made);
          if (end->code == errc::deadline_exceeded)
            REQUIRE((y.deadline && *y.deadline <= now));
          if (end->code == errc::outcome_unknown)
            REQUIRE(!how.retry_uncertain);
          if (end->code == errc::node_lost)
            REQUIRE((end->attempts >= how.max_attempts || (!y.patient && x.owner() == 0)));
          alive.erase(end->call);
          ++over;
        }
      }
    };
    auto lose = [&](pending_calls::owner_id who) {
      for (auto& [id, y] : alive)
        if (y.at == who)
          y.at = 0;
      owners.erase(who);
      if (x.owner() == who)
        lost_at = now;
      x.lost(who, now);
    };
    for (int i = 0; i < 500; ++i) {
      auto some = alive.empty() ? alive.end() : std::next(alive.begin(), draw(int(alive.size())));
      switch (draw(9)) {
        case 0:
        case 1: {
          pending_calls::offer offer;
          if (draw(2) == 0)
            offer.deadline = now + 100ms * (1 + draw(80));
          offer.patient = draw(3) == 0;
          offer.spent = draw(5) == 0 ? 1 : 0;
          auto id = x.add(offer);
          alive[id] = {offer.deadline, offer.patient, offer.spent, offer.spent, 0, false};
          ++made;
          break;
        }
        case 2:
          if (some != alive.end() && draw(2) == 0) {
            x.remove(some->first);
            alive.erase(some);
            ++over;
          }
          break;
        case 3:
          if (x.owner() == 0 || draw(3) == 0)
            owners.insert(x.up(now));
          else
            lose(x.owner());
          break;
        case 4: // the owner makes an attempt, after it has told that the one before failed
          if (some != alive.end() && some->second.at != 0 && some->second.made < how.max_attempts) {
            if (some->second.made > some->second.told)
              x.reported(some->first, some->second.made);
            ++some->second.made;
            REQUIRE(some->second.made <= how.max_attempts);
          }
          break;
        case 5: // it drains, or its grace period is over
          if (some != alive.end() && some->second.at != 0) {
            auto cut_off = some->second.made > some->second.told;
            some->second.at = 0;
            x.given_back(some->first, cut_off, now);
          }
          break;
        case 6: // one that was replaced ends
          if (!owners.empty())
            lose(*owners.begin());
          break;
        default:
          now += 50ms * draw(40);
      }
      step_through();
      REQUIRE(x.size() == alive.size());
      if (auto wake = x.wake_at())
        REQUIRE(*wake > now);
      for (auto& [id, y] : alive) { // none is left that had to end, or could go
        REQUIRE((y.at != 0 || x.owner() == 0 || x.is_resting()));
        REQUIRE((y.at != 0 || x.owner() != 0 || y.patient || x.expects_owner(now) || y.deadline));
        REQUIRE((y.at != 0 || !y.deadline || now < *y.deadline));
      }
    }
    x.lost(now);
    for (auto& [id, y] : alive)
      y.at = 0;
    step_through();
    while (auto wake = x.wake_at()) {
      now = *wake;
      step_through();
    }
    for (auto& [id, y] : alive)
      REQUIRE((y.patient && !y.deadline));
    x.give_up(now);
    for (auto& step : all(x, now)) {
      REQUIRE(ended(step).code == errc::node_lost);
      alive.erase(ended(step).call);
      ++over;
    }
    CHECK(over == made);
    CHECK(x.size() == 0);
  }
}

} // namespace modelforge::pending_calls_test
