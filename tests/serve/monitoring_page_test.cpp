#include "telemetry/metric_names.hpp"
#include "telemetry/readiness.hpp"
#include "telemetry/status_json.hpp"
#include "tests/support/places.hpp"

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>

/// Holds docs/monitoring.md to the code.
namespace modelforge::monitoring_page_test {

namespace {

std::string text_of(const std::string& path) {
  std::stringstream text;
  text << std::ifstream{test::source_path(path)}.rdbuf();
  return text.str();
}

/// The part of the page from that heading to the next one.
std::string section(const std::string& heading) {
  auto page = text_of("docs/monitoring.md");
  auto begin = page.find("\n" + heading + "\n");
  REQUIRE(begin != page.npos);
  return page.substr(begin, page.find("\n## ", begin + heading.size() + 2) - begin);
}

/// What stands between backticks in the first column of its tables.
std::set<std::string> first_column(const std::string& text) {
  static const std::regex row{"\\n\\| `([^`]+)` \\|"};
  std::set<std::string> result;
  for (std::sregex_iterator i{text.begin(), text.end(), row}, end; i != end; ++i)
    result.insert((*i)[1].str());
  return result;
}

/// The place of each member, "*" in the place of an array's elements.
void collect(const nlohmann::json& of, const std::string& place, std::set<std::string>& places) {
  if (of.is_array())
    for (auto& each : of)
      collect(each, place + "/*", places);
  if (!of.is_object())
    return;
  for (auto& [name, value] : of.items()) {
    places.insert(place + "/" + name);
    collect(value, place + "/" + name, places);
  }
}

/// One in which nothing is missing.
telemetry::program_status full_program() {
  telemetry::program_status x;
  x.settings.emplace();
  x.settings->refused.emplace();
  x.node.emplace();
  x.node->status.peers.emplace_back();
  x.node->guests.emplace_back();
  x.spans.emplace();
  auto& provider = x.providers.emplace_back();
  provider.state = telemetry::provider_state::failing; // so there is a reason
  provider.status.name = "main";
  provider.status.lanes.emplace_back().limits.emplace_back();
  return x;
}

} // namespace

TEST_CASE("docs/monitoring.md has every member of /status, and no other", "[telemetry]") {
  std::set<std::string> places;
  collect(nlohmann::json::parse(to_json(full_program())), "", places);
  CHECK(first_column(section("## The members of /status")) == places);
}

TEST_CASE("docs/monitoring.md has every state of a provider, and every reason against readiness", "[telemetry]") {
  std::set<std::string> states{enum_names<telemetry::provider_state>.begin(),
                               enum_names<telemetry::provider_state>.end()};
  CHECK(first_column(section("## How a provider is")) == states);
  CHECK(first_column(section("## Alive and ready"))
        == std::set<std::string>{"draining", "unanswered", "no_provider", "provider"});
}

TEST_CASE("docs/monitoring.md has the table of all metrics", "[telemetry]") {
  CHECK(text_of("docs/monitoring.md")
          .find("<!-- begin: modelforge config metrics -->\n\n" + telemetry::metrics_markdown() + "\n<!-- end -->\n")
        != std::string::npos);
}

TEST_CASE("the list of metrics has all that the header declares, each once", "[telemetry]") {
  auto header = text_of("src/telemetry/metric_names.hpp");
  static const std::regex declaration{"inline constexpr metric (\\w+)"};
  auto declared = std::distance(std::sregex_iterator{header.begin(), header.end(), declaration}, {});
  std::set<std::string> names;
  for (auto* each : telemetry::all_metrics)
    CHECK(names.insert(telemetry::full_name(*each)).second);
  CHECK(static_cast<std::size_t>(declared) == names.size());
}

} // namespace modelforge::monitoring_page_test
