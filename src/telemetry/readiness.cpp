#include "telemetry/readiness.hpp"

#include "telemetry/status_objects.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::telemetry {

namespace {

bool is_usable(const lane_status& lane) {
  return !lane.out && lane.breaker != "open"; // a half open one needs a request to find out
}

/// What is to be said of a provider that says nothing itself.
std::string_view words_of(provider_state state) {
  switch (state) {
    case provider_state::failing:
      return "it keeps failing, and no request is sent for the moment";
    case provider_state::key_refused:
      return "it refuses every key";
    case provider_state::draining:
      return "it takes nothing new";
    case provider_state::unreachable:
      return "the node that runs it cannot be asked";
    case provider_state::ended:
      return "its actor has ended, and is started again";
    case provider_state::unanswered:
      return "it did not tell its status in time";
    default:
      return "it takes requests";
  }
}

not_ready_reason reason_of(const provider_report& provider) {
  auto& problem = provider.status.problem;
  return {"provider", problem.empty() ? std::string{words_of(provider.state)} : problem, provider.status.name,
          provider.state};
}

} // namespace

json::value to_array(const std::vector<not_ready_reason>& reasons) {
  auto result = json::value::array();
  for (auto& each : reasons) {
    json::value object{{"code", each.code}, {"message", each.message}};
    if (!each.provider.empty())
      object.update({{"provider", each.provider}, {"state", name_of(each.state)}});
    result.push_back(std::move(object));
  }
  return result;
}

provider_state state_of(const provider_status& status, bool is_remote) {
  auto& lanes = status.lanes;
  if (status.draining)
    return provider_state::draining;
  if (is_remote && lanes.empty())
    return provider_state::unreachable;
  if (lanes.empty() || std::any_of(lanes.begin(), lanes.end(), [](auto& lane) { return is_usable(lane); }))
    return provider_state::ready;
  auto is_refused = std::all_of(lanes.begin(), lanes.end(), [](auto& lane) { return lane.out; });
  return is_refused ? provider_state::key_refused : provider_state::failing;
}

std::vector<not_ready_reason> reasons_against(const program_status& program) {
  std::vector<not_ready_reason> result;
  if (!program.is_answered)
    return {{"unanswered", "the registry, which keeps the settings and the providers, did not answer in time"}};
  if (program.is_draining)
    result.push_back({"draining", "the program is shutting down: it takes nothing new"});
  auto& providers = program.providers;
  if (std::any_of(providers.begin(), providers.end(), [](auto& one) { return is_usable(one.state); }))
    return result;
  if (providers.empty())
    result.push_back({"no_provider", "there is no provider"});
  for (auto& provider : providers)
    result.push_back(reason_of(provider));
  return result;
}

std::string readiness_json(const std::vector<not_ready_reason>& reasons) {
  return json::to_text({{"ready", reasons.empty()}, {"reasons", to_array(reasons)}}) + "\n";
}

} // namespace modelforge::telemetry
