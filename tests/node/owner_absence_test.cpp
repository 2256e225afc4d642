#include "node/owner_absence.hpp"

#include <catch2/catch_test_macros.hpp>

namespace modelforge::owner_absence_test {

using namespace std::chrono_literals;

namespace {

using node::pending_calls;

const auto start = pending_calls::time_point{} + 1h;

struct fixture {
  pending_calls calls{{}, start};
  node::owner_absence absence{"far", 3, start};

  std::string message(errc code, uint32_t attempts, pending_calls::owner_id owner = 0) const {
    return absence.explain({1, code, attempts, owner}, calls).message;
  }
};

} // namespace

TEST_CASE("what a call came to that no owner answered is said as it is", "[node]") {
  fixture x;
  CHECK(x.message(errc::node_lost, 0) == "node far, which runs the provider, cannot be reached");
  x.absence.on_unreachable("the link broke", false, start + 1s);
  CHECK(x.message(errc::node_lost, 0) == "node far, which runs the provider, cannot be reached: the link broke");
  CHECK(x.message(errc::node_lost, 1).find("is not back: the link broke") != std::string::npos);
  CHECK(x.message(errc::node_lost, 3).find("no attempt is left (max_attempts)") != std::string::npos);
  CHECK(x.message(errc::outcome_unknown, 1).find("was lost while it had the request") != std::string::npos);
  CHECK(x.message(errc::deadline_exceeded, 0).find("the deadline passed; ") == 0);
  CHECK_FALSE(x.absence.explain({1, errc::outcome_unknown, 1, 0}, x.calls).suggestion.empty());
}

TEST_CASE("a node that does not run the provider is quoted, but not on calls that it may have made", "[node]") {
  fixture x;
  x.absence.on_refusal(make_failure(errc::configuration, "node far does not run it"));
  CHECK(x.message(errc::node_lost, 0) == "node far does not run it");
  CHECK(x.message(errc::node_lost, 1) != "node far does not run it");
  CHECK(x.absence.describe(x.calls) == "node far does not run it");
  x.absence.on_found();
  CHECK(x.absence.describe(x.calls) == "node far, which runs it, cannot be reached");
}

TEST_CASE("a node is lost since it was last there", "[node]") {
  fixture x;
  CHECK(x.absence.since() == start);
  auto turn = x.absence.turn();
  x.absence.on_unreachable("no", false, start + 5s); // it was not there before either
  CHECK(x.absence.since() == start);
  CHECK(x.absence.turn() != turn);
  x.absence.on_found();
  x.absence.on_unreachable("no", true, start + 9s);
  CHECK(x.absence.since() == start + 9s);
  x.absence.on_lost("its actor there has ended", start + 10s);
  CHECK(x.absence.since() == start + 10s);
}

} // namespace modelforge::owner_absence_test
