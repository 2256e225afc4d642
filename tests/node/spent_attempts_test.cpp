#include "node/spent_attempts.hpp"

#include <catch2/catch_test_macros.hpp>

#include <limits>

namespace modelforge::spent_attempts_test {

using node::spent_attempts;
using namespace std::chrono_literals;

namespace {

const spent_attempts::time_point start{1h};

attempts_made made(uint32_t spent, std::chrono::nanoseconds age = 1s) {
  attempts_made x{spent, age, {}, true};
  for (uint32_t i = 1; i <= spent; ++i)
    x.records.push_back({i, "lane"});
  return x;
}

} // namespace

TEST_CASE("an owner remembers what it spent on calls whose askers it lost", "[node]") {
  spent_attempts x;
  x.keep({1, 2}, made(2, 3s), start);
  auto told = made(1, 5s);
  told.records[0].lane.clear(); // its asker knows that one was lost, and no more
  auto all = x.all_of({1, 2}, told, start + 4s);
  CHECK(all.spent == 2);
  CHECK(all.age == 7s);
  REQUIRE(all.records.size() == 2);
  CHECK(all.records[0].lane == "lane");
  CHECK(all.report);
  CHECK(x.all_of({1, 2}, made(3), start + 4s).spent == 3); // others have made more since
  CHECK(x.all_of({3, 4}, made(1), start + 4s) == made(1));
  CHECK(x.all_of({1, 2}, {}, start + 4s).spent == 0); // another request of that id
  x.keep({1, 2}, {3, 1s, {}, false}, start + 5s);     // its end, when the records had left with the answer
  CHECK(x.all_of({1, 2}, made(1), start + 5s).spent == 3);
  CHECK(x.all_of({1, 2}, made(1), start + 5s).records.size() == 2);
  x.forget({1, 2});
  CHECK(x.all_of({1, 2}, made(1), start + 4s) == made(1));
}

TEST_CASE("what an owner remembers is bounded in number and time", "[node]") {
  spent_attempts x;
  for (uint64_t i = 1; i <= spent_attempts::max_size + 500; ++i)
    x.keep({1, i}, made(2), start);
  CHECK(x.size() == spent_attempts::max_size);
  CHECK(x.all_of({1, 500}, made(1), start).spent == 1);
  CHECK(x.all_of({1, 501}, made(1), start).spent == 2);
  CHECK(x.all_of({1, 501}, made(1), start + spent_attempts::keep_time).spent == 1);
  CHECK(x.size() == 0);
  for (auto round = 0; round < 100'000; ++round) // the same one again and again leaves no traces
    x.keep({1, 1}, made(2), start + 1h);
  CHECK(x.size() == 1);
  CHECK(x.all_of({1, 1}, made(1), start + 1h).spent == 2);
}

TEST_CASE("what askers tell is cut to what is possible", "[node]") {
  attempts_made absurd{std::numeric_limits<uint32_t>::max(), std::chrono::nanoseconds::max(),
                       std::vector<attempt_record>(1'000), false};
  auto cut = node::bounded(absurd);
  CHECK(cut.spent == node::max_told_spent);
  CHECK(cut.age == node::max_told_age);
  CHECK(cut.records.size() == node::max_told_records);
  absurd.age = std::chrono::nanoseconds::min();
  CHECK(node::bounded(absurd).age == 0s);
}

} // namespace modelforge::spent_attempts_test
