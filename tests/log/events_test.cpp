#include "log/events.hpp"

#include "tests/support/places.hpp"

#include <catch2/catch_test_macros.hpp>

#include <fstream>
#include <regex>
#include <set>
#include <sstream>

namespace modelforge::log_events_test {

using namespace log;

TEST_CASE("docs/logs.md has the table of all events, and no others", "[log]") {
  std::ifstream in{test::source_path("docs/logs.md")};
  std::stringstream page;
  page << in.rdbuf();
  auto text = page.str();
  CHECK(text.find("<!-- begin: modelforge config events -->\n\n" + events_markdown() + "\n<!-- end -->\n")
        != text.npos);
}

TEST_CASE("events and fields have names of one form, each once", "[log]") {
  std::set<std::string_view> names;
  std::set<field> used;
  for (auto& rule : rules) {
    CAPTURE(rule.name);
    CHECK(names.insert(rule.name).second);
    CHECK(std::regex_match(std::string{rule.name}, std::regex{"[a-z]+\\.[a-z_]+"}));
    CHECK(rule.level < log_level::automatic);
    CHECK_FALSE(rule.message.empty());
    auto is_over = false;
    for (std::size_t i = 0; i < rule.fields.size(); ++i) {
      CHECK_FALSE((is_over && rule.fields[i] != field::none));
      is_over = is_over || rule.fields[i] == field::none;
      CHECK_FALSE((i < rule.subject && is_over));
      used.insert(rule.fields[i]);
    }
  }
  used.insert({field::repeated, field::last}); // of all that repeat themselves
  for (std::size_t i = 0; i < field_names.size(); ++i) {
    CAPTURE(field_names[i]);
    CHECK(used.count(static_cast<field>(i)) == 1);
  }
}

} // namespace modelforge::log_events_test
