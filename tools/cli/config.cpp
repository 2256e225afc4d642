#include "log/access_line.hpp"
#include "log/events.hpp"
#include "telemetry/metric_names.hpp"
#include "tools/cli/commands.hpp"
#include "tools/cli/output.hpp"

#include "actors/node_port.hpp"
#include "config/address.hpp"
#include "config/check.hpp"
#include "config/diagnostic.hpp"
#include "config/state_folder.hpp"
#include "config/trust.hpp"
#include "config/trusted_files.hpp"
#include "json/writer.hpp"

#include <modelforge/config/load.hpp>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

/// `modelforge config`: what the settings are, what is wrong with them, and what they could be. Nothing is started.

namespace modelforge::cli {

namespace {

bool sources_are_shown = false; // set before any command runs

/// The path as it can be used from anywhere; what is no file, such as "the environment (NAME)", stays as it is.
std::string whole(const std::string& origin) {
  std::error_code ignored;
  return std::filesystem::exists(origin, ignored) ? std::filesystem::canonical(origin, ignored).string() : origin;
}

void tell(const std::string& what, const std::string& from) {
  std::fprintf(stderr, "modelforge: %s: %s\n", what.c_str(), printable(from).c_str());
}

/// A folder that the settings name is checked, and refused, where it is opened; nobody has asked for the usual one.
void warn_of_lost_limits(const settings& all) {
  if (!all.runtime.state_folder.empty() || std::none_of(all.providers.begin(), all.providers.end(), keeps_limits))
    return;
  if (auto problem = state_folder_problem(default_state_folder()); !problem.empty())
    tell("warning", "the use of limits is not kept across restarts: " + problem
                      + "; set STATE_DIRECTORY, or state_folder in [runtime] (\"none\" does without)");
}

/// Where that is wanted.
void tell_sources(const load_result& loaded) {
  if (!sources_are_shown)
    return;
  if (loaded.origin.empty())
    return tell("settings", "none found");
  tell("settings", whole(loaded.origin) + (loaded.is_found_here ? " (found in the working folder)" : ""));
  for (const auto& provider : loaded.value ? loaded.value->providers : std::vector<provider_settings>{}) {
    auto target = " for " + destination(provider) + " (provider " + provider.name + ')';
    for (const auto& key : provider.keys)
      tell("key", (key.api_key_env.empty() ? key.api_key_file : key.api_key_env) + target);
    for (const auto& header : provider.headers)
      if (!header.env.empty())
        tell("header", header.env + target);
  }
  if (!loaded.value)
    return;
  const auto& folder = loaded.value->runtime.state_folder;
  tell("state", folder.empty() ? default_state_folder() : folder);
}

} // namespace

void show_sources() {
  sources_are_shown = true;
}

void tell_simulated() {
  if (sources_are_shown)
    tell("settings", "none, with --simulate");
}

// Warnings are not shown: who runs a command wants its answer; `config check` shows them.
std::optional<settings> load_settings(const std::string& path) {
  auto loaded = discover(path);
  tell_sources(loaded);
  for (auto& diagnostic : loaded.diagnostics)
    if (diagnostic.level == severity::error)
      std::fprintf(stderr, "%s\n", to_string(diagnostic).c_str());
  if (loaded.value && !loaded.value->providers.empty()) {
    warn_of_lost_limits(*loaded.value);
    return std::move(loaded.value);
  }
  if (loaded.value)
    complain(loaded.origin + " configures no provider; `modelforge config example` shows how");
  else if (loaded.diagnostics.empty())
    complain("nothing is configured: set OPENAI_API_KEY, or write modelforge.toml (`modelforge config example` "
             "prints one), or try --simulate, which needs no key");
  return {};
}

namespace {

constexpr auto soon = 14; // days, in which a certificate had better be renewed

/// What would keep a node from starting with its certificate. Only looked at where somebody asks: the file may be for
/// another machine, and who sends a request does not need them.
std::vector<finding> check_certificates(const settings& all, std::string_view) {
  findings found;
  auto node = all.node;
  const auto& tls = node.tls;
  if (tls.certificate.empty() || tls.key.empty() || tls.ca.empty())
    return found.list;
  if (node.name.empty())
    node.tls.verify_names = false;
  auto read = read_credentials(node);
  if (auto* good = std::get_if<0>(&read)) {
    if (auto days = (*good)->valid_for() / std::chrono::hours{24}; days < soon)
      found.warn({"node.tls.certificate"},
                 "`certificate` in [node.tls]: " + tls.certificate + " expires "
                   + (days == 0 ? "within a day" : "in " + std::to_string(days) + (days == 1 ? " day" : " days")),
                 "renew it in time: a running node takes up the new file by itself");
  } else if (auto* problem = std::get_if<failure>(&read)) {
    auto blamed = std::string{"certificate"};
    for (auto* key : {"key", "ca"})
      if (problem->message.starts_with('`' + std::string{key} + '`'))
        blamed = key;
    found.error({"node.tls." + blamed, "node.tls"}, problem->message, problem->suggestion);
  }
  return found.list;
}

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
  auto loaded = discover(path, process_environment(), check_certificates);
  tell_sources(loaded);
  if (as_json)
    return !print(verdict_json(loaded)) ? exit_failed : loaded.value ? exit_ok : exit_usage;
  for (auto& diagnostic : loaded.diagnostics)
    std::fprintf(stderr, "%s\n", to_string(diagnostic).c_str());
  if (loaded.value)
    warn_of_lost_limits(*loaded.value);
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

/// The line of the file that a value is from; 0: it is a default. What a model's price leaves out is the provider's.
uint32_t line_of(const load_result& loaded, const std::string& path) {
  auto line = [&](const std::string& one) {
    auto found = loaded.lines.find(one);
    return found == loaded.lines.end() ? 0 : found->second;
  };
  if (auto own = line(path); own != 0)
    return own;
  if (path.find(".keys.") != path.npos && !path.ends_with(".name")) // the short form
    return line(path.substr(0, path.rfind('.')));
  auto model = path.find(".models.");
  auto price = path.rfind(".price.");
  if (model == path.npos || price == path.npos || line(path.substr(0, price)) == 0)
    return 0;
  return line(path.substr(0, model) + path.substr(price));
}

/// Where a value of these settings is from: "FILE:LINE", "the environment (NAME)" or "default".
std::string source_of(const load_result& loaded, const std::string& path) {
  if (auto line = line_of(loaded, path); line != 0)
    return printable(loaded.origin) + ':' + std::to_string(line);
  auto is_of_variables =
    loaded.lines.empty()
    && (path.ends_with(".kind") || path.ends_with(".base_url") || path.find(".keys.") != path.npos);
  return is_of_variables ? printable(loaded.origin) : "default";
}

/// What `modelforge config show` does. Nothing in it is secret: settings name variables and files, not keys.
int config_show(const std::string& path, bool with_origins) {
  auto all = load_settings(path);
  if (!all)
    return exit_usage;
  if (!with_origins)
    return print(to_toml(std::move(*all))) ? exit_ok : exit_failed;
  auto loaded = discover(path);
  auto text = to_toml(std::move(*all), [&](const std::string& key) { return source_of(loaded, key); });
  return print(text) ? exit_ok : exit_failed;
}

/// What `modelforge config path` does: faulty or not, the file is the one that counts.
int config_path(const std::string& path) {
  auto loaded = discover(path);
  tell_sources(loaded);
  if (!loaded.origin.empty())
    return print(whole(loaded.origin) + "\n") ? exit_ok : exit_failed;
  complain("nothing is configured: there is no modelforge.toml here or in the user's configuration folder, and no key "
           "in the environment");
  return exit_usage;
}

/// What `modelforge config trust` does. What is confirmed is the text that was read and shown here, whatever becomes of
/// the file meanwhile.
int config_trust(const std::string& named, bool forget) {
  auto path = named.empty() ? std::string{file_of_folder} : named;
  if (forget) {
    auto text = path + (trusted_files{}.remove(path) ? ": no longer confirmed\n" : ": was not confirmed\n");
    return print(text) ? exit_ok : exit_failed;
  }
  std::string content;
  std::vector<outflow> outflows;
  auto loaded = load_file(path, process_environment(), [&](const settings& all, std::string_view text) {
    content = text;
    outflows = find_outflows(all, process_environment(), belongs_to_others(path));
    return std::vector<finding>{};
  });
  if (!loaded.value) {
    for (auto& diagnostic : loaded.diagnostics)
      if (diagnostic.level == severity::error)
        std::fprintf(stderr, "%s\n", to_string(diagnostic).c_str());
    return exit_usage;
  }
  std::string text;
  for (auto& one : outflows)
    text += printable(one.secret + " may go to " + one.target) + '\n';
  if (outflows.empty())
    text = path + ": needs no confirmation, its keys go to their own providers or stay on this machine\n";
  else if (auto problem = trusted_files{}.add(path, content)) {
    complain(*problem);
    return exit_failed;
  } else
    text += path + ": confirmed until it changes\n";
  return print(text) ? exit_ok : exit_failed;
}

} // namespace

void add_config(command_line& line) {
  auto path = std::make_shared<std::string>();
  auto as_json = std::make_shared<bool>(false);
  auto config = line.add("config", "Check, show, confirm or start a configuration");
  config.require_command();
  auto check = config.add("check", "Report every error in the configuration");
  auto show = config.add("show", "Print the effective settings, defaults included, as TOML");
  auto where = config.add("path", "Print which file is used, or which variables");
  auto trust = config.add("trust", "Let a ./modelforge.toml send keys elsewhere than to their own providers");
  auto example = config.add("example", "Print an example with every key explained");
  auto reference = config.add("reference", "Print every key with type, range and default, as Markdown");
  auto events = config.add("events", "Print every event that the log may have, as Markdown");
  auto metrics = config.add("metrics", "Print every metric that /metrics may have, as Markdown");
  for (auto* command : {&check, &show, &where}) {
    add_config_file(*command, *path);
    command->text("FILE", *path, "The same, without -c");
  }
  check.flag("--json", *as_json, "Print the verdict and what was found as JSON");
  check.footer(
    "Examples:\n  modelforge config check\n  modelforge config check --json | jq -r '.diagnostics[].message'");
  auto with_origins = std::make_shared<bool>(false);
  show.flag("--origins", *with_origins, "Say after each value where it comes from: a line of the file, or a default");
  show.footer("Examples:\n  modelforge config show -c modelforge.toml\n"
              "  modelforge config show --origins | grep -v '# default'");
  example.footer("Example:\n  modelforge config example > modelforge.toml");
  reference.footer("Example:\n  modelforge config reference > reference.md");
  auto of_access = std::make_shared<bool>(false);
  events.flag("--access", *of_access, "Print the members of a line of the access log instead");
  events.footer("Examples:\n  modelforge config events | grep warning\n  modelforge config events --access");
  metrics.footer("Example:\n  modelforge config metrics | grep counter");
  config.footer("Examples:\n  modelforge config example > modelforge.toml\n  modelforge config check");
  check.run_by([path, as_json] { return config_check(*path, *as_json); });
  show.run_by([path, with_origins] { return config_show(*path, *with_origins); });
  where.footer("Example:\n  modelforge config path");
  where.run_by([path] { return config_path(*path); });
  auto forget = std::make_shared<bool>(false);
  trust.text("FILE", *path, "Default: ./modelforge.toml");
  trust.flag("--forget", *forget, "Take the confirmation back");
  trust.footer("Examples:\n  modelforge config trust\n  modelforge config trust --forget\n\n"
               "The file is confirmed with what it says now: when it changes, it has to be confirmed again.");
  trust.run_by([path, forget] { return config_trust(*path, *forget); });
  example.run_by([] { return print(example_toml()) ? exit_ok : exit_failed; });
  reference.run_by([] { return print(reference_markdown()) ? exit_ok : exit_failed; });
  events.run_by([of_access] {
    return print(*of_access ? log::access_markdown() : log::events_markdown()) ? exit_ok : exit_failed;
  });
  metrics.run_by([] { return print(telemetry::metrics_markdown()) ? exit_ok : exit_failed; });
}

} // namespace modelforge::cli
