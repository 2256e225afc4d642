#include "actors/settings_change.hpp"

namespace modelforge {

std::optional<failure> errors_of(const std::vector<diagnostic>& all) {
  std::string problems;
  for (auto& each : all)
    if (each.level == severity::error)
      problems += (problems.empty() ? "" : "\n") + to_string(each);
  if (problems.empty())
    return {};
  return make_failure(errc::configuration, problems);
}

std::vector<std::string> tables_that_need_restart(const settings& fresh, const settings& in_force) {
  std::vector<std::string> result;
  if (!(fresh.node == in_force.node))
    result.push_back("node");
  if (fresh.runtime.threads != in_force.runtime.threads || fresh.runtime.state_folder != in_force.runtime.state_folder)
    result.push_back("runtime");
  if (!(fresh.metrics == in_force.metrics))
    result.push_back("metrics");
  return result;
}

void keep_what_needs_restart(settings& fresh, const settings& in_force) {
  fresh.node = in_force.node;
  fresh.metrics = in_force.metrics;
  fresh.runtime.threads = in_force.runtime.threads;
  fresh.runtime.state_folder = in_force.runtime.state_folder;
}

} // namespace modelforge
