#include "config/schema.hpp"
#include "tests/settings/proof.hpp"

#include <modelforge/config/load.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <map>
#include <set>

namespace modelforge::settings_test {

namespace {

/// Keys that are refused where they would do nothing.
const std::set<std::string> refused{"providers.main.models.\"gpt-*-mini\".rate_limit.on_start"};

/// In all: nothing is sent anywhere, nothing is kept.
constexpr auto common = "providers.main.base_url = \"http://acme.test/v1\"\n"
                        "providers.main.default_model = \"m\"\n"
                        "runtime.state_folder = \"none\"\n";

std::vector<proof> all_proofs() {
  std::vector<proof> result;
  for (auto& some : {provider_proofs(), limit_proofs(), failure_proofs(), stream_proofs(), optimization_proofs(),
                     program_proofs(), node_proofs()})
    result.insert(result.end(), some.begin(), some.end());
  return result;
}

/// Every key that the schema knows, with names in place of what the user names. What stands in an entry of `keys` has
/// no place of its own there.
std::set<std::string> all_keys() {
  settings one;
  one.providers.emplace_back().name = "main";
  one.providers[0].models.emplace_back().pattern = "gpt-*-mini";
  std::set<std::string> result;
  schema::for_each_value(
    one, [&](const std::string& path, const schema::key_rule&, const schema::slot&) { result.insert(path); });
  result.erase("providers.main.keys");
  for (auto& key : schema::key_entry().keys)
    result.insert("providers.main.keys." + std::string{key.name});
  return result;
}

settings load(const std::string& changes) {
  auto text = example_with(common + changes);
  auto loaded = parse(text, "example.toml");
  for (auto& each : loaded.diagnostics)
    UNSCOPED_INFO(to_string(each));
  REQUIRE(loaded.value);
  return *loaded.value;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

} // namespace

TEST_CASE("every key of the example has a proof that it acts, and no proof is for none", "[settings]") {
  std::set<std::string> proven;
  for (auto& each : all_proofs())
    proven.insert(
      each.key.substr(0, each.key.find(".headers.") == each.key.npos ? each.key.npos : each.key.find(".headers.") + 8));
  proven.insert(refused.begin(), refused.end());
  auto known = all_keys();
  CHECK(known.size() > 120);
  std::vector<std::string> without, of_none;
  std::set_difference(known.begin(), known.end(), proven.begin(), proven.end(), std::back_inserter(without));
  std::set_difference(proven.begin(), proven.end(), known.begin(), known.end(), std::back_inserter(of_none));
  CHECK(without == std::vector<std::string>{});
  CHECK(of_none == std::vector<std::string>{});
}

TEST_CASE("each key acts, changed alone", "[settings]") {
  setenv("OPENAI_API_KEY", "key-of-main", 1);
  setenv("OTHER_KEY", "key-of-others", 1);
  setenv("TEAM_TOKEN", "token-of-team", 1);
  for (auto& each : all_proofs()) {
    CAPTURE(each.key, each.to);
    auto with = each.with.empty() ? "" : each.with + '\n';
    auto before = each.what(load(with));
    auto after = each.what(load(with + each.key + " = " + each.to + '\n'));
    CAPTURE(before, after);
    CHECK(before != after);
    if (!each.before.empty()) {
      CHECK(contains(before, each.before));
      CHECK_FALSE(contains(after, each.before));
    }
    if (!each.after.empty()) {
      CHECK(contains(after, each.after));
      CHECK_FALSE(contains(before, each.after));
    }
  }
}

TEST_CASE("a key that would do nothing where it stands is refused", "[settings]") {
  for (auto& key : refused) {
    auto loaded = parse(example_with(common + key + " = \"empty\"\n"), "example.toml");
    CHECK_FALSE(loaded.value);
  }
}

} // namespace modelforge::settings_test
