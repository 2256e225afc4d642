#include "tools/cli/commands.hpp"
#include "tools/cli/output.hpp"

#include <modelforge/config/load.hpp>

#include <cstdio>
#include <memory>

/// `modelforge config`: what the settings are, what is wrong with them, and what they could be. Nothing is started.

namespace modelforge::cli {

// Warnings are not shown: who runs a command wants its answer; `config check` shows them.
std::optional<settings> load_settings(const std::string& path) {
  auto loaded = discover(path);
  for (auto& diagnostic : loaded.diagnostics)
    if (diagnostic.level == severity::error)
      std::fprintf(stderr, "%s\n", to_string(diagnostic).c_str());
  if (loaded.value && !loaded.value->providers.empty())
    return std::move(loaded.value);
  if (loaded.value)
    complain(loaded.origin + " configures no provider; `modelforge config example` shows how");
  else if (loaded.diagnostics.empty())
    complain("nothing is configured: set OPENAI_API_KEY, or write modelforge.toml (`modelforge config example` "
             "prints one), or try --simulate, which needs no key");
  return {};
}

namespace {

/// What `modelforge config check` does: errors and warnings on standard error, the verdict on standard output.
int config_check(const std::string& path) {
  auto loaded = discover(path);
  for (auto& diagnostic : loaded.diagnostics)
    std::fprintf(stderr, "%s\n", to_string(diagnostic).c_str());
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

/// What `modelforge config show` does. Nothing in it is secret: settings name variables and files, not keys.
int config_show(const std::string& path) {
  auto all = load_settings(path);
  if (!all)
    return exit_usage;
  return print(to_toml(std::move(*all))) ? exit_ok : exit_failed;
}

} // namespace

void add_config(command_line& line) {
  auto path = std::make_shared<std::string>();
  auto config = line.add("config", "Check, show or start a configuration");
  config.require_command();
  auto check = config.add("check", "Report every error in the configuration");
  auto show = config.add("show", "Print the effective settings, defaults included, as TOML");
  auto example = config.add("example", "Print an example with every key explained");
  auto reference = config.add("reference", "Print every key with type, range and default, as Markdown");
  for (auto* command : {&check, &show}) {
    add_config_file(*command, *path);
    command->text("FILE", *path, "The same, without -c");
  }
  check.run_by([path] { return config_check(*path); });
  show.run_by([path] { return config_show(*path); });
  example.run_by([] { return print(example_toml()) ? exit_ok : exit_failed; });
  reference.run_by([] { return print(reference_markdown()) ? exit_ok : exit_failed; });
}

} // namespace modelforge::cli
