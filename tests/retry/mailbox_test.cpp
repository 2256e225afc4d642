#include "retry/mailbox.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

namespace modelforge::mailbox_test {

using namespace modelforge::retry;
using namespace std::chrono_literals;

namespace {

using time_point = mailbox::time_point;
using duration = budget::duration;

const time_point start{1000s};
const auto never = time_point::max();

request_id id(uint64_t x) {
  return {1, x};
}

/// Spends the two that a budget has to begin with.
void empty_budget(mailbox& x, time_point now) {
  for (uint64_t i = 0; i < 2; ++i)
    x.park(id(1000 + i), now, when_empty::wait);
  while (x.next(now))
    x.dispatched(when_empty::wait, now);
}

} // namespace

TEST_CASE("mailbox releases in the order of due times", "[retry][mailbox]") {
  std::mt19937_64 random{1};
  mailbox x;
  std::multimap<time_point, uint64_t> due;
  for (uint64_t i = 1; i <= 500; ++i) {
    auto when = start + std::chrono::milliseconds{random() % 1000};
    x.park(id(i), when, when_empty::exempt);
    due.emplace(when, i);
  }
  CHECK(x.size() == 500);
  CHECK(x.next_due() == due.begin()->first);
  auto last = start;
  for (std::size_t i = 0; i < 500; ++i) {
    auto at = x.wake_at(last);
    REQUIRE(at == due.begin()->first);
    if (at > last)
      REQUIRE_FALSE(x.next(at - 1ns));
    last = at;
    auto got = x.next(at);
    REQUIRE(got);
    auto [from, to] = due.equal_range(at);
    auto which = std::find_if(from, to, [&](auto& y) { return id(y.second) == got->id; });
    REQUIRE(which != to);
    due.erase(which);
  }
  CHECK(x.size() == 0);
  CHECK(x.wake_at(last) == never);
  CHECK_FALSE(x.next_due());
}

TEST_CASE("mailbox does by kind what an empty budget means", "[retry][mailbox]") {
  mailbox x;
  empty_budget(x, start);
  x.park(id(1), start, when_empty::wait);
  x.park(id(2), start, when_empty::fail);
  x.park(id(3), start, when_empty::exempt);
  auto got = x.next(start);
  REQUIRE(got);
  CHECK(got->id == id(3));
  CHECK(got->has_budget);
  x.dispatched(when_empty::exempt, start); // is not charged
  got = x.next(start);
  REQUIRE(got);
  CHECK(got->id == id(2));
  CHECK_FALSE(got->has_budget);
  CHECK_FALSE(x.next(start));
  CHECK(x.size() == 1);
  auto at = x.wake_at(start);
  CHECK(at > start);
  CHECK(at < never);
  got = x.next(at);
  REQUIRE(got);
  CHECK(got->id == id(1));
}

TEST_CASE("mailbox keeps for a released retry its part of the budget", "[retry][mailbox]") {
  mailbox x;
  for (uint64_t i = 1; i <= 5; ++i)
    x.park(id(i), start, when_empty::wait);
  CHECK(x.next(start));
  CHECK(x.next(start));
  CHECK_FALSE(x.next(start)); // two to begin with
  x.dropped(when_empty::wait);
  CHECK(x.next(start)); // what one did not need another one gets
  CHECK_FALSE(x.next(start));
  CHECK(x.may_dispatch(when_empty::wait, start));
  x.dispatched(when_empty::wait, start);
  x.dispatched(when_empty::wait, start);
  CHECK_FALSE(x.may_dispatch(when_empty::wait, start));
  CHECK(x.may_dispatch(when_empty::exempt, start));
  CHECK_FALSE(x.next(start));
  for (int i = 0; i < 5; ++i)
    x.first(start);
  CHECK(x.next(start));
  CHECK_FALSE(x.next(start));
}

TEST_CASE("mailbox lets one that would fail have the budget first", "[retry][mailbox]") {
  mailbox x;
  x.park(id(1), start, when_empty::wait);
  x.park(id(2), start + 1ms, when_empty::fail);
  auto got = x.next(start + 1ms);
  REQUIRE(got);
  CHECK(got->id == id(2));
  CHECK(got->has_budget);
}

TEST_CASE("mailbox forgets what is withdrawn", "[retry][mailbox]") {
  mailbox x;
  x.park(id(1), start + 1s, when_empty::exempt);
  x.park(id(2), start + 2s, when_empty::wait);
  CHECK(x.withdraw(id(1)));
  CHECK_FALSE(x.withdraw(id(1)));
  CHECK_FALSE(x.withdraw(id(7)));
  CHECK(x.size() == 1);
  CHECK(x.wake_at(start) == start + 2s);
  CHECK(x.next_due() == start + 2s);
  CHECK_FALSE(x.next(start + 1s));
  x.park(id(1), start + 3s, when_empty::fail); // again, later and otherwise
  auto got = x.next(start + 3s);
  REQUIRE(got);
  CHECK(got->id == id(1));
  got = x.next(start + 3s);
  REQUIRE(got);
  CHECK(got->id == id(2));
  CHECK_FALSE(x.next(start + 3s));
}

TEST_CASE("mailbox is not asleep while a released retry holds some of the budget", "[retry][mailbox]") {
  mailbox x;
  x.first(start); // one a second from now on
  for (uint64_t i = 1; i <= 3; ++i)
    x.park(id(i), start, when_empty::wait);
  CHECK(x.next(start));
  CHECK(x.next(start)); // these two wait elsewhere, for a slot perhaps
  CHECK_FALSE(x.next(start));
  auto at = x.wake_at(start);
  CHECK(at <= start + 1s + 100ms);
  CHECK(x.next(start + 1s + 100ms));
}

TEST_CASE("mailbox never asks to be woken at once when it has nothing to tell", "[retry][mailbox]") {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random{seed};
    mailbox x;
    std::map<request_id, when_empty> parked;
    std::vector<when_empty> released;
    auto now = start;
    uint64_t ids = 0;
    auto told = 0;
    for (int i = 0; i < 3000; ++i) {
      switch (random() % 6) {
        case 0:
          x.first(now);
          break;
        case 1:
        case 2: {
          auto kind = static_cast<when_empty>(random() % 3);
          x.park(id(++ids), now + std::chrono::milliseconds{random() % 2000}, kind);
          parked[id(ids)] = kind;
          break;
        }
        case 3:
          if (!parked.empty() && random() % 4 == 0) {
            REQUIRE(x.withdraw(parked.begin()->first));
            parked.erase(parked.begin());
          }
          break;
        case 4:
          if (!released.empty()) {
            auto kind = released.back();
            released.pop_back();
            if (x.may_dispatch(kind, now))
              x.dispatched(kind, now);
            else
              x.dropped(kind);
          }
          break;
        default:
          now += std::chrono::milliseconds{random() % 400};
      }
      while (auto got = x.next(now)) {
        ++told;
        auto kind = parked.at(got->id);
        parked.erase(got->id);
        REQUIRE((got->has_budget || kind == when_empty::fail));
        if (got->has_budget)
          released.push_back(kind);
      }
      REQUIRE(x.size() == parked.size());
      auto wake = x.wake_at(now);
      REQUIRE(wake > now);
      if (wake == never && released.empty())
        REQUIRE(parked.empty());
    }
    CHECK(told > 200);
  }
}

TEST_CASE("due times that are taken back leave no memory behind", "[retry][mailbox]") {
  due_queue x;
  std::map<request_id, time_point> live;
  auto holds = [&](request_id id, time_point due) {
    auto i = live.find(id);
    return i != live.end() && i->second == due;
  };
  for (uint64_t i = 1; i <= 200'000; ++i) {
    x.push(start + std::chrono::seconds{i}, id(i));
    live[id(i)] = start + std::chrono::seconds{i};
    if (i > 10)
      live.erase(id(i - 10));
    x.tidy(live.size(), holds);
    REQUIRE(x.size() <= 2 * 11 + 1024);
  }
  CHECK(x.earliest(holds) == start + std::chrono::seconds{199'991});
  CHECK(x.take() == id(199'991));
}

} // namespace modelforge::mailbox_test
