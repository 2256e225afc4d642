#include "tools/cli/reread.hpp"

#include "tests/support/temporary_folder.hpp"

#include <catch2/catch_test_macros.hpp>

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace modelforge::reread_test {

using cli::reread_settings;

namespace {

struct reread_test {
  std::function<void(const std::string&)> refuse() {
    return [this](const std::string& why) { refused.push_back(why); };
  }

  test::temporary_folder folder;
  std::vector<std::string> refused;
};

} // namespace

TEST_CASE_METHOD(reread_test, "settings that are read again are handed on, and their taker's word counts",
                 "[cli][node]") {
  auto path = folder.write("node.toml", "[node]\n");
  for (auto is_taken : {true, false})
    CHECK(reread_settings(path, false, refuse(),
                          [&](const std::string& text) {
                            CHECK(text == "[node]\n");
                            return is_taken;
                          })
          == is_taken);
  CHECK(refused.empty()); // the taker tells
}

TEST_CASE_METHOD(reread_test, "what cannot be read again is refused, and nobody is asked", "[cli][node]") {
  auto is_asked = false;
  auto take = [&](const std::string&) { return is_asked = true; };
  auto path = folder.path("none.toml");
  CHECK_FALSE(reread_settings(path, false, refuse(), take));
  CHECK_FALSE(reread_settings(folder.write("empty.toml", ""), false, refuse(), take));
  CHECK_FALSE(is_asked);
  REQUIRE(refused.size() == 2);
  CHECK(refused[0].starts_with("cannot read " + path + " again: "));
  CHECK(refused[1].ends_with("it is empty"));
}

TEST_CASE_METHOD(reread_test, "what is thrown while settings are taken over refuses them, and ends nothing",
                 "[cli][node]") {
  auto path = folder.write("node.toml", "[node]\n");
  auto taken =
    reread_settings(path, false, refuse(), [](const std::string&) -> bool { throw std::runtime_error{"no"}; });
  CHECK_FALSE(taken);
  CHECK(refused == std::vector<std::string>{"no"});
}

} // namespace modelforge::reread_test
