#include "actors/named_provider.hpp"

#include <utility>

namespace modelforge {

std::string named_provider::restart_note() const {
  return "it ended unexpectedly and was started again (" + std::to_string(pace.ends())
         + (pace.ends() == 1 ? " time" : " times") + " so far), most recently because of: " + problem;
}

failure named_provider::unavailable(caf::actor_clock::time_point now) const {
  auto why = make_failure(errc::internal, "the provider ended unexpectedly: " + problem, "please report this");
  why.provider = settings.name;
  why.retry_after = *start_at - now;
  return why;
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
