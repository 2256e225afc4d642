#include "node/call_history.hpp"

#include <catch2/catch_test_macros.hpp>

#include <vector>

namespace modelforge::call_history_test {

using namespace std::chrono_literals;

namespace {

using time_point = node::call_history::time_point;

const auto start = time_point{} + 1h;

attempt_record record_of(uint32_t number, errc result) {
  attempt_record record;
  record.number = number;
  record.result = result;
  return record;
}

} // namespace

TEST_CASE("attempts of owners that are lost get records that stand in for theirs", "[node]") {
  node::call_history history{{}, start};
  history.on_lost(0, start); // it goes out for the first time
  history.on_sent(start + 1s);
  history.on_lost(1, start + 3s);
  CHECK(history.spent() == 1);
  auto told = history.as_of(start + 4s);
  REQUIRE(told.records.size() == 1);
  CHECK(told.records[0].number == 1);
  CHECK(told.records[0].result == errc::node_lost);
  CHECK(told.records[0].started == 1s);
  CHECK(told.records[0].duration == 2s);
  CHECK(told.age == 4s);
  CHECK(told.report);
}

TEST_CASE("an attempt that was sent after the loss has taken no time", "[node]") {
  node::call_history history{{}, start};
  history.on_sent(start + 5s);
  history.on_lost(1, start + 3s);
  CHECK(history.take_records().at(0).duration == 0s);
}

TEST_CASE("what the asker knew comes first, and attempts without a record stay without one", "[node]") {
  attempts_made earlier;
  earlier.spent = 3;
  earlier.age = 10s;
  earlier.records = {record_of(3, errc::server_error)};
  node::call_history history{earlier, start};
  history.on_sent(start);
  history.on_lost(4, start + 1s);
  auto told = history.as_of(start + 2s);
  CHECK(told.spent == 4);
  CHECK(told.age == 12s);
  REQUIRE(told.records.size() == 2);
  CHECK(told.records[1].number == 4);
  CHECK(told.records[1].started == 10s);
}

TEST_CASE("of two reports the longer one counts", "[node]") {
  node::call_history history{{}, start};
  history.on_report({record_of(1, errc::server_error), record_of(2, errc::overloaded)});
  history.on_report({record_of(1, errc::server_error)});
  CHECK(history.take_records().size() == 2);
}

} // namespace modelforge::call_history_test
