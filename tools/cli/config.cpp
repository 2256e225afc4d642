#include "tools/cli/commands.hpp"
#include "tools/cli/output.hpp"

#include "json/writer.hpp"

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

/// {"file", "ok", "providers", "diagnostics": [{"level", "file", "line", "column", "message", "hint"}]}
std::string verdict_json(const load_result& loaded) {
  std::string text;
  json::writer json{text};
  json.open('{');
  json.key("file");
  json.repaired(loaded.origin);
  json.key("ok");
  json.boolean(loaded.value.has_value());
  json.key("providers");
  json.number(loaded.value ? loaded.value->providers.size() : 0);
  json.key("diagnostics");
  json.open('[');
  for (auto& diagnostic : loaded.diagnostics) {
    json.open('{');
    json.key("level");
    json.word(diagnostic.level == severity::error ? "error" : "warning");
    for (auto [key, value] : {std::pair{"file", &diagnostic.file}, std::pair{"message", &diagnostic.message},
                              std::pair{"hint", &diagnostic.hint}}) {
      json.key(key);
      json.repaired(*value);
    }
    json.key("line");
    json.number(diagnostic.line);
    json.key("column");
    json.number(diagnostic.column);
    json.close('}');
  }
  json.close(']');
  json.close('}');
  return text + "\n";
}

/// What `modelforge config check` does: errors and warnings on standard error, the verdict on standard output; or all
/// of it there, as JSON.
int config_check(const std::string& path, bool as_json) {
  auto loaded = discover(path);
  if (as_json)
    return !print(verdict_json(loaded)) ? exit_failed : loaded.value ? exit_ok : exit_usage;
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
  auto as_json = std::make_shared<bool>(false);
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
  check.flag("--json", *as_json, "Print the verdict and what was found as JSON");
  check.footer(
    "Examples:\n  modelforge config check\n  modelforge config check --json | jq -r '.diagnostics[].message'");
  show.footer("Example:\n  modelforge config show -c modelforge.toml");
  example.footer("Example:\n  modelforge config example > modelforge.toml");
  reference.footer("Example:\n  modelforge config reference > reference.md");
  config.footer("Examples:\n  modelforge config example > modelforge.toml\n  modelforge config check");
  check.run_by([path, as_json] { return config_check(*path, *as_json); });
  show.run_by([path] { return config_show(*path); });
  example.run_by([] { return print(example_toml()) ? exit_ok : exit_failed; });
  reference.run_by([] { return print(reference_markdown()) ? exit_ok : exit_failed; });
}

} // namespace modelforge::cli
