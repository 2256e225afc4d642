#include "node/peer_roots.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

namespace modelforge::peer_roots_test {

namespace {

using roots = node::peer_roots<int>;
using namespace std::chrono_literals;

const roots::time_point now{1h};

int in_charge(const roots& x, const std::string& name = "owner") {
  auto* found = x.find(name);
  return found != nullptr ? *found : 0;
}

} // namespace

TEST_CASE("a name stays with who had it first, and goes to the next that lives", "[node]") {
  roots x;
  CHECK(in_charge(x) == 0);
  CHECK(x.add("owner", 1, true, now));
  CHECK(x.add("owner", 2, true, now)); // another program of that name
  CHECK_FALSE(x.add("owner", 1, true, now));
  CHECK(in_charge(x) == 1);
  CHECK(x.remove(2).empty());
  CHECK(x.add("owner", 3, true, now));
  CHECK(x.remove(1) == std::vector<std::string>{"owner"});
  CHECK(in_charge(x) == 3); // its link lives
  CHECK(x.remove(3) == std::vector<std::string>{"owner"});
  CHECK(in_charge(x) == 0);
}

TEST_CASE("who was found at a configured address comes before who came by himself", "[node]") {
  roots x;
  x.add("owner", 1, false, now);
  x.add("owner", 2, false, now);
  CHECK(in_charge(x) == 1);
  x.add("owner", 3, true, now);
  CHECK(in_charge(x) == 3);
  x.add("owner", 2, true, now); // both ways
  CHECK(in_charge(x) == 3);
  x.remove(3);
  CHECK(in_charge(x) == 2);
  x.remove(2);
  CHECK(in_charge(x) == 1);
}

TEST_CASE("in every order of coming and going a name is that of one who lives", "[node]") {
  // An owner at two addresses, and another program of its name: each comes by itself, is found at an address, or goes.
  constexpr int length = 5;
  for (int order = 0; order < 9 * 9 * 9 * 9 * 9; ++order) {
    roots x;
    std::vector<int> by_itself, at_address; // in the order of that
    for (int i = 0, rest = order; i < length; ++i, rest /= 9) {
      auto who = 1 + rest % 3;
      auto is_who = [who](int y) { return y == who; };
      auto before = in_charge(x);
      auto came = std::none_of(by_itself.begin(), by_itself.end(), is_who)
                  && std::none_of(at_address.begin(), at_address.end(), is_who);
      switch (rest / 3 % 3) {
        case 0:
          if (x.add("owner", who, false, now) != came)
            FAIL("order " << order);
          if (came)
            by_itself.push_back(who);
          break;
        case 1:
          if (x.add("owner", who, true, now) != came)
            FAIL("order " << order);
          std::erase_if(by_itself, is_who);
          if (std::none_of(at_address.begin(), at_address.end(), is_who))
            at_address.push_back(who);
          break;
        default:
          if (x.remove(who).empty() != (before != who))
            FAIL("order " << order);
          std::erase_if(by_itself, is_who);
          std::erase_if(at_address, is_who);
      }
      auto& first = at_address.empty() ? by_itself : at_address;
      if (in_charge(x) != (first.empty() ? 0 : first.front()))
        FAIL("order " << order << " after step " << i);
    }
  }
}

TEST_CASE("an actor that greeted by several names is lost by all of them", "[node]") {
  roots x;
  x.add("a", 1, true, now);
  x.add("b", 2, true, now);
  x.add("b", 1, true, now);
  std::vector<std::string> names;
  x.for_each([&](auto& name, auto) { names.push_back(name); });
  CHECK(names == std::vector<std::string>{"a", "b"});
  CHECK(x.remove(1) == std::vector<std::string>{"a"});
  CHECK(in_charge(x, "a") == 0);
  CHECK(in_charge(x, "b") == 2);
}

TEST_CASE("a node can be reached since who is in charge has come", "[node]") {
  roots x;
  auto since = [&] {
    roots::time_point result;
    x.for_each([&](auto&, auto time) { result = time; });
    return result;
  };
  x.add("a", 1, false, now);
  x.add("a", 1, false, now + 1s); // again
  CHECK(since() == now);
  x.add("a", 2, true, now + 2s);
  CHECK(since() == now + 2s);
  x.add("a", 3, true, now + 3s);
  x.remove(2);
  CHECK(since() == now + 3s);
  x.remove(3);
  CHECK(since() == now);
}

} // namespace modelforge::peer_roots_test
