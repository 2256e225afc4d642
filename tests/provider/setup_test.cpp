#include "provider/heritage.hpp"
#include "provider/model_groups.hpp"
#include "tests/provider/fixture.hpp"
#include "tests/support/temporary_folder.hpp"

namespace modelforge::setup_test {

using namespace test;

TEST_CASE("setup: settings that cannot work are refused with what to do", "[provider]") {
  auto problem_of = [](const provider_settings& settings) {
    auto made = provider::prepare(settings, {});
    REQUIRE(std::holds_alternative<failure>(made));
    CHECK(std::get<failure>(made).code == errc::configuration);
    return std::get<failure>(made).message;
  };
  auto settings = acme();
  settings.interactive_slots = 2;
  CHECK(problem_of(settings) == "interactive_slots must be less than max_concurrent");
  settings = acme();
  settings.kind = provider_kind::openai_compatible;
  settings.base_url.clear();
  CHECK(problem_of(settings) == "base_url is not set");
  settings = acme();
  settings.headers.push_back({"x-gate", {}, "MODELFORGE_TEST_NOT_SET"});
  CHECK(problem_of(settings) == "the environment variable MODELFORGE_TEST_NOT_SET is not set");
  settings = acme();
  settings.kind = provider_kind::anthropic;
  settings.api = provider_api::responses;
  CHECK(problem_of(settings) == "kind \"anthropic\" has no Responses API");
}

TEST_CASE("setup: models with limits of their own have lanes of their own", "[provider]") {
  temporary_folder folder;
  auto settings = acme();
  settings.keys = {{"one", {}, folder.write("one", "sk-11111111\n")},
                   {"two", {}, folder.write("two", "sk-22222222\n")}};
  settings.models = {models("small*", 0, 1), models("large-?", 5)};
  auto setup = prepared(settings);
  CHECK(setup.groups.size() == 3);
  CHECK(setup.lanes() == std::vector<provider::lane_place>{{0, 0}, {0, 1}, {2, 0}, {2, 1}});
  CHECK(setup.lane_name({0, 1}) == "two");
  CHECK(setup.lane_name({2, 0}) == "one/large-?");
  CHECK(provider::group_of(settings, "large-2") == 2);
  CHECK(provider::group_of(settings, "large-22") == 0);
  CHECK(provider::limited_as(settings, provider::group_of(settings, "smaller")) == 0);
  token_usage tokens;
  tokens.input = 2'000'000;
  CHECK(provider::cost_of(settings, 1, tokens) == 2.0);
  CHECK_FALSE(provider::cost_of(settings, 2, tokens));
}

TEST_CASE("setup: keys and configured headers go with every request, and are masked", "[provider]") {
  temporary_folder folder;
  auto settings = acme();
  settings.keys = {{"one", {}, folder.write("one", "sk-11111111\n")}};
  settings.headers.push_back({"x-team", "red", {}});
  auto setup = prepared(settings);
  std::vector<http::header> headers;
  setup.add_headers(0, headers);
  CHECK(std::find(headers.begin(), headers.end(), http::header{"x-team", "red"}) != headers.end());
  CHECK(headers.front().value.find("sk-11111111") != std::string::npos);
  std::string text = "my key is sk-11111111";
  setup.secrets->mask(text, secret_mask::extent::whole);
  CHECK(text == "my key is ***");
}

TEST_CASE("heritage: groups are known by their patterns, keys by what they are", "[provider]") {
  temporary_folder folder;
  auto one = key_source{"one", {}, folder.write("one", "sk-11111111\n")};
  auto two = key_source{"two", {}, folder.write("two", "sk-22222222\n")};
  auto settings = acme();
  settings.keys = {one, two};
  settings.models = {models("a*", 5), models("b*", 6)};
  auto before = prepared(settings);
  settings.keys = {two, one};
  std::swap(settings.models[0], settings.models[1]);
  settings.models.push_back(models("c*", 7));
  auto after = prepared(settings);
  CHECK(provider::same_lanes(before, before));
  CHECK_FALSE(provider::same_lanes(before, after));
  std::vector<secret> known{before.keys[0].credential, before.keys[1].credential};
  auto heritage = provider::heritage_of(before, after, known);
  CHECK(heritage.same_server);
  CHECK(heritage.groups == std::vector<std::optional<uint32_t>>{0, 2, 1, {}});
  CHECK(heritage.keys == std::vector<uint32_t>{1, 0});
  CHECK(heritage.group_of("bear") == 1);
  CHECK(known.size() == 2);
}

} // namespace modelforge::setup_test
