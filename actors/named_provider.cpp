#include "actors/named_provider.hpp"

#include "actors/support/error_of.hpp"
#include "provider/heritage.hpp"

#include <utility>

namespace modelforge {

owned_provider named_provider::owned() const {
  return {name(), start_at ? provider_actor{} : running.actor,
          [control = running.control](const caf::strong_actor_ptr& who, std::string node) {
            control.run([who, node = std::move(node)](provider_control& provider) { provider.add_guest(who, node); });
          }};
}

std::string named_provider::restart_note() const {
  return "it ended unexpectedly and was started again (" + std::to_string(pace.ends())
         + (pace.ends() == 1 ? " time" : " times") + " so far), most recently because of: " + problem;
}

registry_report::provider named_provider::report(bool is_ours) const {
  registry_report::provider result{settings.name, to_string(settings.kind), {}, running.actor, {}};
  if (!is_ours)
    result.owner = settings.nodes.front();
  if (start_at || (death != nullptr && death->has_ended)) {
    result.actor = nullptr;
    result.problem = start_at ? problem : death->reason;
  }
  return result;
}

failure named_provider::unavailable(caf::actor_clock::time_point now) const {
  auto why = make_failure(errc::internal, "the provider ended unexpectedly: " + problem, "please report this");
  why.provider = settings.name;
  why.retry_after = *start_at - now;
  return why;
}

failure unknown_provider(const std::string& name, const std::vector<named_provider>& all) {
  std::string known;
  for (auto& each : all)
    known += (known.empty() ? "" : ", ") + each.name();
  return unknown_provider(name, known);
}

uint64_t find_leaving(const std::map<uint64_t, named_provider>& leaving, const provider_settings& wanted) {
  uint64_t result = 0;
  for (auto& [id, x] : leaving)
    if (x.name() == wanted.name && !x.is_proxy() && provider::can_become(x.settings, wanted))
      result = id;
  return result;
}

// Each problem keeps its own line; a single one keeps its code and suggestion.
failure joined(std::vector<failure> problems) {
  if (problems.size() == 1)
    return std::move(problems.front());
  std::string all;
  for (auto& each : problems)
    all += (all.empty() ? "" : "\n") + to_string(each);
  return make_failure(errc::configuration, all);
}

} // namespace modelforge
