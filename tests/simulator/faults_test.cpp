#include "tools/simulator/exchange.hpp"
#include "tools/simulator/faults.hpp"
#include "tools/simulator/framing.hpp"
#include "tools/simulator/slots.hpp"
#include "tools/simulator/text.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <random>
#include <set>

namespace modelforge::faults_test {

using namespace modelforge::simulator;
using namespace std::chrono_literals;

namespace {

using time_point = modelforge::simulator::clock::time_point;

constexpr time_point start(1h);

options faulty(std::map<std::string, double> faults, uint64_t seed = 1) {
  options x;
  x.faults = std::move(faults);
  x.seed = seed;
  return x;
}

/// Returns what attempt `attempt` of each of `count` requests gets.
std::vector<fault> drawn(const options& settings, std::string_view attempt, int count = 20'000) {
  fault_plan plan(settings, start);
  std::vector<fault> all;
  for (int i = 0; i < count; ++i)
    all.push_back(plan.draw(start, hex(0) + hex(static_cast<uint64_t>(i)), attempt).what);
  return all;
}

} // namespace

TEST_CASE("faults come in their shares, and depend on seed, request and attempt alone", "[simulator]") {
  auto settings = faulty({{"503", 0.2}, {"reset", 0.1}, {"html", 0.05}});
  auto first = drawn(settings, "1");
  std::map<fault, int> counts;
  for (auto x : first)
    ++counts[x];
  auto is_about = [](int count, double expected) { return std::abs(count - expected) < 0.01 * 20'000; }; // 3.5 sigma
  CHECK(is_about(counts[fault::unavailable], 4'000));
  CHECK(is_about(counts[fault::reset], 2'000));
  CHECK(is_about(counts[fault::html], 1'000));
  CHECK(is_about(counts[fault::none], 13'000));
  CHECK(counts.size() == 4);
  CHECK(drawn(settings, "1") == first);
  auto other_seed = settings;
  other_seed.seed = 2;
  for (const auto& other : {drawn(settings, "2"), drawn(other_seed, "1")}) {
    int both = 0;
    for (std::size_t i = 0; i < first.size(); ++i)
      both += first[i] == fault::unavailable && other[i] == fault::unavailable;
    CHECK(std::abs(both - 800) < 150); // a fifth of a fifth: one draw tells nothing about the other
  }
}

TEST_CASE("requests without an id draw by their number", "[simulator]") {
  auto settings = faulty({{"500", 0.5}});
  auto sequence = [&] {
    fault_plan plan(settings, start);
    std::vector<fault> all;
    for (int i = 0; i < 200; ++i)
      all.push_back(plan.draw(start, "", "").what);
    return all;
  };
  auto first = sequence();
  CHECK(first == sequence());
  auto faults = std::count(first.begin(), first.end(), fault::internal);
  CHECK(faults > 60);
  CHECK(faults < 140);
  settings.seed = 7;
  CHECK(first != sequence());
}

TEST_CASE("shares of one and zero are certain", "[simulator]") {
  auto all = drawn(faulty({{"429", 0}, {"503", 1}}), "1", 2'000);
  CHECK(std::set(all.begin(), all.end()) == std::set{fault::unavailable});
  auto tenths = faulty({});
  for (auto name : {"429", "500", "503", "529", "garbage", "html", "reset", "slow", "timeout", "truncated"})
    tenths.faults[name] = 0.1;
  CHECK(problem_of(tenths).empty());
  CHECK(problem_of(faulty({{"429", 0.05}, {"500", 0.55}, {"503", 0.3}, {"529", 0.1}})).empty()); // a rounding above 1
  for (auto x : drawn(tenths, "1", 2'000))
    CHECK(x != fault::none);
}

TEST_CASE("faults happen between their times", "[simulator]") {
  auto settings = faulty({{"503", 1}});
  settings.fault_from = 10s;
  settings.fault_until = 20s;
  fault_plan plan(settings, start);
  auto at = [&](auto when) { return plan.draw(start + when, "", "").what == fault::unavailable; };
  CHECK_FALSE(at(0s));
  CHECK_FALSE(at(9'999ms));
  CHECK(at(10s));
  CHECK(at(19'999ms));
  CHECK_FALSE(at(20s));
  settings.fault_until = std::nullopt;
  plan.configure(settings);
  CHECK(at(1000h));
}

TEST_CASE("settings that make no sense are named", "[simulator]") {
  CHECK(problem_of({}).empty());
  struct row {
    void (*spoil)(options& x);
    std::string_view word;
  };
  for (auto [spoil, word] :
       {row{[](options& x) {
              x.faults = {{"504", 0.1}};
            },
            "\"504\""},
        row{[](options& x) {
              x.faults = {{"", 0.1}};
            },
            "\"\""},
        row{[](options& x) {
              x.faults = {{"503", 1.1}};
            },
            "\"503\""},
        row{[](options& x) {
              x.faults = {{"503", -0.1}};
            },
            "\"503\""},
        row{[](options& x) {
              x.faults = {{"503", NAN}};
            },
            "\"503\""},
        row{[](options& x) {
              x.faults = {{"429", 0.6}, {"slow", 0.5}};
            },
            "\"slow\""},
        row{[](options& x) { x.window = 0ms; }, "window"}, row{[](options& x) { x.window = 25h; }, "window"},
        row{[](options& x) { x.requests_per_minute = max_per_minute + 1; }, "limit"},
        row{[](options& x) { x.tokens_per_minute = max_per_minute + 1; }, "limit"},
        row{[](options& x) { x.retry_after = -1ms; }, "retry_after"},
        row{[](options& x) { x.fault_from = -1ms; }, "fault_from"},
        row{[](options& x) { x.fault_from = 2s, x.fault_until = 1s; }, "fault_until"}}) {
    options x;
    spoil(x);
    INFO(word);
    CHECK(problem_of(x).find(word) != std::string::npos);
    CHECK_THROWS_AS(server(x), std::invalid_argument);
  }
}

TEST_CASE("a fault is given as its name and its share", "[simulator]") {
  options x;
  CHECK(add_fault(x, "503=0.5").empty());
  CHECK(add_fault(x, "429_retry_after=1e-1").empty());
  CHECK(x.faults == std::map<std::string, double>{{"503", 0.5}, {"429_retry_after", 0.1}});
  for (auto text : {"", "503", "=0.1", "slow=", "slow=a", "slow=0.1x", "slow= 0.1"})
    CHECK(add_fault(x, text) == "expected NAME=SHARE, for example 503=0.1");
  for (auto [text, word] : {std::pair{"504=0.1", "\"504\""}, {"slow=2", "\"slow\""}, {"503=0.1", "twice"}})
    CHECK(add_fault(x, text).find(word) != std::string::npos);
  CHECK(add_fault(x, "429=0.5").find("\"429\" makes the shares of all faults more than 1") != std::string::npos);
}

TEST_CASE("a slow answer takes ten times its time, and a second more at least", "[simulator]") {
  options settings;
  auto pace_with = [&](fault injected) {
    reply answer;
    answer.is_paced = true;
    answer.steps = 20;
    answer.decided.effect = injected;
    return pace_of(answer, settings);
  };
  CHECK(pace_with(fault::slow).first_byte == 1s);
  CHECK(pace_with(fault::reset_mid).first_byte == 0s);
  settings.latency = 100ms;
  CHECK(pace_with(fault::none).first_byte == 100ms);
  CHECK(pace_with(fault::slow).first_byte == 1'100ms);
  settings.tokens_per_second = 100;
  CHECK(pace_with(fault::none).first_byte == 300ms);
  CHECK(pace_with(fault::none).interval == 10ms);
  CHECK(pace_with(fault::slow).first_byte == 3s);
  CHECK(pace_with(fault::slow).interval == 100ms);
}

namespace {

struct guest : slot_queue::user {
  explicit guest(int& x) : counter(x) {}

  void on_slot() override { order = ++counter; }

  int& counter;
  int order = 0; ///< From 1; 0: still waiting.
};

} // namespace

TEST_CASE("slots are given in the order of arrival, and never more than there are", "[simulator]") {
  int begun = 0;
  std::deque<guest> all;
  for (int i = 0; i < 8; ++i)
    all.emplace_back(begun);
  slot_queue slots(2);
  for (auto& x : all)
    slots.enter(x);
  CHECK(begun == 2);
  slots.leave(all[3]); // gives up while it waits
  CHECK(begun == 2);
  slots.leave(all[1]);
  CHECK(all[2].order == 3);
  slots.leave(all[1]); // not inside any more
  CHECK(begun == 3);
  slots.leave(all[0]);
  CHECK(all[4].order == 4);
  slots.set_limit(3);
  CHECK(all[5].order == 5);
  CHECK(begun == 5);
  slots.set_limit(1);
  slots.leave(all[2]);
  slots.leave(all[4]);
  CHECK(begun == 5); // one is still inside
  slots.leave(all[5]);
  CHECK(all[6].order == 6);
  CHECK(begun == 6);
  slots.set_limit(0);
  CHECK(all[7].order == 7);
  CHECK(all[3].order == 0);
}

TEST_CASE("slots serve any order of coming and going", "[simulator]") {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random(seed);
    int begun = 0;
    std::deque<guest> all;
    slot_queue slots(3);
    std::vector<guest*> present; // in order of arrival
    for (int i = 0; i < 300; ++i) {
      if (present.empty() || random() % 2 == 0) {
        present.push_back(&all.emplace_back(begun));
        slots.enter(*present.back());
      } else {
        auto x = present.begin() + static_cast<std::ptrdiff_t>(random() % present.size());
        slots.leave(**x);
        present.erase(x);
      }
      for (std::size_t j = 0; j < present.size(); ++j)
        REQUIRE((present[j]->order > 0) == (j < 3)); // the three who came first are inside, and nobody else
    }
  }
}

} // namespace modelforge::faults_test
