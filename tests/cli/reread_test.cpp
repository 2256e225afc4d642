#include "tools/cli/reread.hpp"

#include "tests/support/collected_log.hpp"
#include "tests/support/temporary_folder.hpp"

#include <catch2/catch_test_macros.hpp>

#include <stdexcept>

namespace modelforge::reread_test {

using cli::reread_settings;
using test::collected_log;

namespace {

struct reread_test {
  log_handle start() { return std::get<log_handle>(start_log({}, {told.sink(), log_level::info})); }

  test::temporary_folder folder;
  collected_log told;
};

} // namespace

TEST_CASE_METHOD(reread_test, "settings that are read again are handed on, and their taker's word counts",
                 "[cli][node]") {
  auto path = folder.write("node.toml", "[node]\n");
  for (auto is_taken : {true, false})
    CHECK(reread_settings(path, false, start(),
                          [&](const std::string& text) {
                            CHECK(text == "[node]\n");
                            return is_taken;
                          })
          == is_taken);
  CHECK(told.lines().empty()); // the taker tells
}

TEST_CASE_METHOD(reread_test, "what cannot be read again is refused, and nobody is asked", "[cli][node]") {
  auto is_asked = false;
  auto take = [&](const std::string&) { return is_asked = true; };
  auto path = folder.path("none.toml");
  CHECK_FALSE(reread_settings(path, false, start(), take));
  CHECK_FALSE(reread_settings(folder.write("empty.toml", ""), false, start(), take));
  CHECK_FALSE(is_asked);
  REQUIRE(told.lines().size() == 2);
  CHECK(told.lines()[0].starts_with("reload.refused origin=" + path + " reason=cannot read " + path + " again: "));
  CHECK(told.lines()[1].ends_with("it is empty"));
}

TEST_CASE_METHOD(reread_test, "what is thrown while settings are taken over refuses them, and ends nothing",
                 "[cli][node]") {
  auto path = folder.write("node.toml", "[node]\n");
  auto taken =
    reread_settings(path, false, start(), [](const std::string&) -> bool { throw std::runtime_error{"no"}; });
  CHECK_FALSE(taken);
  REQUIRE(told.lines().size() == 1);
  CHECK(told.lines()[0] == "reload.refused origin=" + path + " reason=no");
}

} // namespace modelforge::reread_test
