#include "batch/outcomes.hpp"

#include "tests/support/temporary_folder.hpp"

#include <catch2/catch_test_macros.hpp>

namespace modelforge::outcomes_test {

using batch::item_state;

namespace {

struct earlier_run {
  test::temporary_folder folder;
  std::unique_ptr<batch::ledger> ledger;
  batch::outcomes x{1};

  earlier_run() {
    auto path = folder.path("out.ledger");
    auto file = batch::open_ledger_file(path);
    auto opened = batch::ledger::open(std::move(std::get<0>(file)), path, {1000, 7, "in.jsonl"});
    ledger = std::move(std::get<0>(opened));
  }

  void result(uint64_t item, bool ok) { REQUIRE_FALSE(ledger->add({item, ok, 1, {}, {}, "p", "{}"})); }

  std::vector<item_state> states(uint64_t count) const {
    std::vector<item_state> all;
    for (uint64_t i = 0; i < count; ++i)
      all.push_back(x.states().of(i));
    return all;
  }
};

} // namespace

TEST_CASE_METHOD(earlier_run, "what earlier runs did is done, and what jobs have is held", "[batch][outcomes]") {
  using enum item_state;
  result(0, true);
  result(1, false);
  REQUIRE_FALSE(ledger->note(batch::ledger_job{"n1", "p", "m", 5, {{3, 4}}, {}}));
  REQUIRE_FALSE(ledger->sync());
  SECTION("a failure is a result") {
    x.load(*ledger, "out.ledger", false);
    CHECK(states(6) == std::vector{done, done, missing, held, held, missing});
    CHECK(x.figures().report({}).resumed == 2);
    CHECK(x.figures().report({}).failed == 1);
  }
  SECTION("unless it is to be tried again") {
    x.load(*ledger, "out.ledger", true);
    CHECK(states(6) == std::vector{done, missing, missing, held, held, missing});
    CHECK(x.states().is_retried(1));
    CHECK(x.figures().report({}).resumed == 1);
    CHECK(x.figures().report({}).failed == 0);
  }
}

TEST_CASE_METHOD(earlier_run, "a failure is tried again by the job that was made for it, and not by the one it came of",
                 "[batch][outcomes]") {
  using enum item_state;
  result(0, false);
  result(1, false);
  REQUIRE_FALSE(ledger->note(batch::ledger_job{"n1", "p", "m", 5, {{1, 3}}, {}}));
  result(2, false);
  result(3, true);
  REQUIRE_FALSE(ledger->sync());
  SECTION("as things are") {
    x.load(*ledger, "out.ledger", false);
    CHECK(states(4) == std::vector{done, held, done, done});
    CHECK(x.states().is_retried(1));
    CHECK_FALSE(x.states().is_retried(2));
    CHECK(x.figures().report({}).resumed == 3);
    CHECK(x.figures().report({}).failed == 2);
  }
  SECTION("and if all failures are to be tried again") {
    x.load(*ledger, "out.ledger", true);
    CHECK(states(4) == std::vector{missing, held, missing, done});
  }
}

} // namespace modelforge::outcomes_test
