#include "node/greeting.hpp"

#include <catch2/catch_test_macros.hpp>

namespace modelforge::greeting_test {

using namespace modelforge::node;

TEST_CASE("nodes that do not fit together hear why, and of both sides", "[node]") {
  node_hello mine{wire_version, "0.1.0", "lab", "a"};
  auto theirs = mine;
  theirs.node = "b";
  CHECK_FALSE(misfit(mine, theirs));
  auto check = [&](const node_hello& other, const char* remedy) {
    auto why = misfit(mine, other);
    REQUIRE(why);
    CHECK(why->find("node \"a\" (ModelForge 0.1.0, wire version") != why->npos);
    CHECK(why->find("node \"" + other.node + "\"") != why->npos);
    CHECK(why->find(remedy) != why->npos);
  };
  auto other = theirs;
  ++other.wire;
  check(other, "update the older one");
  other = theirs;
  other.cluster = "home";
  check(other, "set the same `cluster`");
  other = mine;
  check(other, "give each node of a cluster its own `name`");
  other.node.clear();
  CHECK(misfit(mine, other));
}

TEST_CASE("addresses are read and written", "[node]") {
  auto round = [](const char* text) { return to_string(parse_address(text).value_or(address{"none", 0})); };
  for (auto* good : {"127.0.0.1:4711", "localhost:0", "[::1]:65535", "node-1.example.org:80"})
    CHECK(round(good) == good);
  for (auto* bad : {"", ":1", "host", "host:", "host:65536", "host:-1", "host:1x", "::1:80", "[::1:80", "[]:1"}) {
    INFO(bad);
    CHECK_FALSE(parse_address(bad));
  }
}

} // namespace modelforge::greeting_test
