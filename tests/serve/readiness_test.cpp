#include "telemetry/readiness.hpp"

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

namespace modelforge::readiness_test {

using telemetry::provider_state;
using telemetry::state_of;

namespace {

provider_status with_lanes(std::vector<std::pair<std::string, bool>> lanes) {
  provider_status x;
  for (auto& [breaker, is_out] : lanes) {
    auto& lane = x.lanes.emplace_back();
    lane.breaker = breaker;
    lane.out = is_out;
  }
  return x;
}

telemetry::program_status with(std::vector<provider_state> states) {
  telemetry::program_status x;
  for (auto state : states) {
    auto& provider = x.providers.emplace_back();
    provider.state = state;
    provider.status.name = "p" + std::to_string(x.providers.size());
  }
  return x;
}

std::vector<std::string> codes(const telemetry::program_status& x) {
  std::vector<std::string> result;
  for (auto& reason : reasons_against(x)) {
    CHECK_FALSE(reason.message.empty());
    result.push_back(std::string{reason.code} + reason.provider);
  }
  return result;
}

using list = std::vector<std::string>;

} // namespace

TEST_CASE("a provider is ready while one of its lanes can be used", "[telemetry]") {
  auto state = [](std::vector<std::pair<std::string, bool>> lanes) { return state_of(with_lanes(lanes), false); };
  CHECK(state({{"closed", false}}) == provider_state::ready);
  CHECK(state({{"half_open", false}}) == provider_state::ready); // a request has to find out
  CHECK(state({{"open", false}}) == provider_state::failing);
  CHECK(state({{"closed", true}}) == provider_state::key_refused);
  CHECK(state({{"open", false}, {"closed", false}}) == provider_state::ready);
  CHECK(state({{"open", false}, {"closed", true}}) == provider_state::failing);
  CHECK(state({{"closed", true}, {"open", true}}) == provider_state::key_refused);
}

TEST_CASE("a provider that drains or whose node is lost is not ready", "[telemetry]") {
  auto draining = with_lanes({{"closed", false}});
  draining.draining = true;
  CHECK(state_of(draining, false) == provider_state::draining);
  CHECK(state_of(draining, true) == provider_state::draining);
  CHECK(state_of({}, true) == provider_state::unreachable);
  CHECK(state_of(with_lanes({{"open", false}}), true) == provider_state::failing);
}

TEST_CASE("one usable provider makes a program ready, and nothing else does", "[telemetry]") {
  CHECK(codes(with({provider_state::ready})).empty());
  CHECK(codes(with({provider_state::ended, provider_state::ready, provider_state::unanswered})).empty());
  for (auto state : {provider_state::failing, provider_state::key_refused, provider_state::draining,
                     provider_state::unreachable, provider_state::ended, provider_state::unanswered})
    CHECK(codes(with({state, provider_state::ended})) == list{"providerp1", "providerp2"});
  CHECK(codes(with({})) == list{"no_provider"});
}

TEST_CASE("a program that drains, or whose registry is silent, is not ready", "[telemetry]") {
  auto x = with({provider_state::ready});
  x.is_draining = true;
  CHECK(codes(x) == list{"draining"});
  x.providers[0].state = provider_state::draining;
  CHECK(codes(x) == list{"draining", "providerp1"});
  x.is_answered = false;
  CHECK(codes(x) == list{"unanswered"});
}

TEST_CASE("readiness in JSON has every reason", "[telemetry]") {
  auto x = with({provider_state::failing, provider_state::unanswered});
  x.providers[0].status.problem = "HTTP 503: \"overloaded\"";
  auto parsed = nlohmann::json::parse(readiness_json(reasons_against(x)));
  CHECK(parsed["ready"] == false);
  REQUIRE(parsed["reasons"].size() == 2);
  CHECK(parsed["reasons"][0]
        == nlohmann::json{
          {"code", "provider"}, {"message", "HTTP 503: \"overloaded\""}, {"provider", "p1"}, {"state", "failing"}});
  CHECK(parsed["reasons"][1]["state"] == "unanswered");
  CHECK(nlohmann::json::parse(readiness_json(reasons_against(with({})))).at("reasons")[0].contains("provider")
        == false);
}

} // namespace modelforge::readiness_test
