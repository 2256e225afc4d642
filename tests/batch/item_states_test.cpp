#include "batch/item_states.hpp"

#include <catch2/catch_test_macros.hpp>

namespace modelforge::item_states_test {

using batch::item_state;
using batch::item_states;

TEST_CASE("an item is in one state, and missing until something is known of it", "[batch][item_states]") {
  item_states x;
  CHECK(x.of(1'000'000) == item_state::missing);
  x.set(7, item_state::held);
  x.set(7, item_state::done);
  CHECK(x.of(7) == item_state::done);
  CHECK(x.of(6) == item_state::missing);
  CHECK(x.of(8) == item_state::missing);
}

TEST_CASE("what came back is missing again with the next pass, and not before", "[batch][item_states]") {
  item_states x;
  x.set(0, item_state::done);
  x.set(1, item_state::returned);
  x.set(2, item_state::returned);
  x.set(2, item_state::returned);
  x.set(3, item_state::held);
  CHECK(x.returned() == 2);
  CHECK(x.of(1) == item_state::returned);
  x.begin_pass();
  CHECK(x.returned() == 0);
  CHECK(x.of(0) == item_state::done);
  CHECK(x.of(1) == item_state::missing);
  CHECK(x.of(2) == item_state::missing);
  CHECK(x.of(3) == item_state::held);
}

TEST_CASE("an item's marks stay with it, whatever its state", "[batch][item_states]") {
  item_states x;
  x.keep_live(3);
  CHECK(x.begin_retry(3));
  CHECK_FALSE(x.begin_retry(3)); // it was said before
  x.set(3, item_state::returned);
  x.begin_pass();
  CHECK(x.is_kept_live(3));
  CHECK_FALSE(x.is_kept_live(2));
  CHECK_FALSE(x.is_kept_live(4));
  CHECK(x.end_retry(3));
  CHECK_FALSE(x.end_retry(3));
  CHECK_FALSE(x.end_retry(99));
  CHECK(x.is_kept_live(3));
  CHECK(x.of(3) == item_state::missing);
}

} // namespace modelforge::item_states_test
