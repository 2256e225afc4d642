#include "tools/cli/commands.hpp"
#include "tools/cli/output.hpp"

#include <modelforge/config/load.hpp>

#include <cstdio>

namespace modelforge::cli {

std::optional<settings> load_settings(const std::string& path) {
  auto loaded = discover(path);
  for (auto& x : loaded.diagnostics)
    if (x.level == severity::error)
      std::fprintf(stderr, "%s\n", to_string(x).c_str());
  if (loaded.value && !loaded.value->providers.empty())
    return std::move(loaded.value);
  if (loaded.value)
    complain(loaded.origin + " configures no provider; `modelforge config example` shows how");
  else if (loaded.diagnostics.empty())
    complain("nothing is configured: set OPENAI_API_KEY, or write modelforge.toml (`modelforge config example` "
             "prints one), or try --simulate, which needs no key");
  return {};
}

int config_check(const std::string& path) {
  auto loaded = discover(path);
  for (auto& x : loaded.diagnostics)
    std::fprintf(stderr, "%s\n", to_string(x).c_str());
  if (!loaded.value) {
    if (loaded.diagnostics.empty())
      complain("there is nothing to check: no modelforge.toml here or in the user's configuration folder");
    return exit_usage;
  }
  auto providers = loaded.value->providers.size();
  auto warnings = loaded.diagnostics.size();
  auto text = loaded.origin + ": ok, " + std::to_string(providers) + (providers == 1 ? " provider" : " providers");
  if (warnings > 0)
    text += ", " + std::to_string(warnings) + (warnings == 1 ? " warning" : " warnings");
  return print(text + "\n") ? exit_ok : exit_failed;
}

int config_show(const std::string& path) {
  auto all = load_settings(path);
  if (!all)
    return exit_usage;
  return print(to_toml(std::move(*all))) ? exit_ok : exit_failed;
}

int config_example() {
  return print(example_toml()) ? exit_ok : exit_failed;
}

int config_reference() {
  return print(reference_markdown()) ? exit_ok : exit_failed;
}

} // namespace modelforge::cli
