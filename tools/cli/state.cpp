#include "tools/cli/commands.hpp"
#include "tools/cli/output.hpp"
#include "tools/state/kept_files.hpp"

#include "base/file.hpp"
#include "base/utc_text.hpp"
#include "config/diagnostic.hpp"
#include "config/state_folder.hpp"
#include "json/writer.hpp"

#include <modelforge/config/load.hpp>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <pwd.h>

/// `modelforge state`: what is kept in files, and cleaning it.

namespace modelforge::cli {

namespace {

struct state_options {
  std::string config;
  std::vector<std::string> folders; ///< That may hold ledgers; none: the working folder.
  std::vector<state::kind> kinds;   ///< To be cleaned; none: what nobody misses.
  std::optional<double> older_than; ///< Seconds.
  bool dry_run = false;
  bool json = false;
};

constexpr auto default_age = std::chrono::hours{24 * 30};

/// Where to look, by the settings that count here; nothing where a configuration was named and is wrong.
std::optional<state::folders> folders_of(const state_options& options) {
  state::folders result{default_state_folder(), {}, options.folders, {}};
  if (result.ledgers.empty())
    result.ledgers = {"."};
  auto loaded = discover(options.config);
  if (loaded.value) {
    auto& folder = loaded.value->runtime.state_folder;
    result.limits = folder == "none" ? "" : folder;
    auto& log = loaded.value->log;
    if (log.names_file())
      result.logs.push_back(log.sink);
    if (log.names_access_file())
      result.logs.push_back(log.access);
  } else if (!loaded.diagnostics.empty()) {
    auto& why = loaded.diagnostics.front();
    if (!options.config.empty()) {
      std::fprintf(stderr, "%s\n", to_string(why).c_str());
      return {};
    }
    std::fprintf(stderr, "modelforge: warning: the folders that %s names are not looked at, since it has errors\n",
                 printable(loaded.origin).c_str());
  }
  return result;
}

// -- showing -----------------------------------------------------------------------------

std::string size_of(uint64_t bytes) {
  char text[32];
  auto size = static_cast<double>(bytes);
  auto* unit = bytes < (1u << 20) ? "KiB" : bytes < (1u << 30) ? "MiB" : "GiB";
  auto scale = bytes < (1u << 20) ? 1024.0 : bytes < (1u << 30) ? 1048576.0 : 1073741824.0;
  std::snprintf(text, sizeof text, bytes < 1024 ? "%.0f B" : "%.1f %s", bytes < 1024 ? size : size / scale, unit);
  return text;
}

std::string owner_name(uint32_t id) {
  auto* known = ::getpwuid(id);
  return known != nullptr ? known->pw_name : std::to_string(id);
}

std::string line_of_file(const state::kept_file& file) {
  char columns[160];
  std::snprintf(columns, sizeof columns, "%-12s %s %-10.32s %10s  %s  ", std::string{name_of(file.kind)}.c_str(),
                base::mode_text(file.mode).c_str(), owner_name(file.owner).c_str(), size_of(file.bytes).c_str(),
                base::utc_second(std::chrono::system_clock::to_time_t(file.changed)).c_str());
  return columns + printable(file.path) + (file.is_in_use ? "  (in use)" : "") + '\n';
}

/// [{"kind","path","owner","mode","bytes","changed","in_use","kept_because"}, ...]
std::string json_of(const std::vector<state::kept_file>& files) {
  std::string text;
  json::writer json{text};
  json.open('[');
  for (auto& file : files) {
    json.open('{');
    for (auto [key, value] :
         {std::pair{"kind", std::string{name_of(file.kind)}}, std::pair{"path", file.path},
          std::pair{"owner", owner_name(file.owner)}, std::pair{"mode", base::mode_text(file.mode)},
          std::pair{"changed", base::utc_second(std::chrono::system_clock::to_time_t(file.changed))},
          std::pair{"kept_because", file.kept_because}}) {
      json.key(key);
      json.repaired(value);
    }
    json.key("bytes");
    json.number(file.bytes);
    json.key("in_use");
    json.boolean(file.is_in_use);
    json.close('}');
  }
  json.close(']');
  return text + '\n';
}

std::string count_text(std::size_t count, uint64_t bytes) {
  return std::to_string(count) + (count == 1 ? " file, " : " files, ") + size_of(bytes);
}

/// What `modelforge state` does.
int show_state(const state_options& options) {
  auto where = folders_of(options);
  if (!where)
    return exit_usage;
  auto files = state::find_files(*where);
  if (options.json)
    return print(json_of(files)) ? exit_ok : exit_failed;
  std::string text;
  uint64_t bytes = 0;
  for (auto& file : files) {
    text += line_of_file(file);
    bytes += file.bytes;
  }
  return print(text + count_text(files.size(), bytes) + '\n') ? exit_ok : exit_failed;
}

// -- cleaning ----------------------------------------------------------------------------

state::clean_order order_of(const state_options& options) {
  state::clean_order result{options.kinds, default_age};
  if (result.kinds.empty())
    result.kinds = {state::kind::limits, state::kind::draft};
  if (options.older_than)
    result.older_than = std::chrono::seconds{static_cast<int64_t>(std::min(*options.older_than, 1e12))};
  return result;
}

/// What keeps a file that was meant; empty: it is of another kind, or too young.
std::string hindrance_to(const state::kept_file& file, const state::clean_order& order,
                         std::chrono::system_clock::time_point now) {
  auto free = file;
  free.is_in_use = false;
  free.kept_because.clear();
  if (!state::is_to_go(free, order, now))
    return {};
  return file.is_in_use ? std::string{state::used_words} : file.kept_because;
}

/// Whether the system kept a file from being removed.
bool is_failure(std::string_view why) {
  return !why.empty() && why != state::used_words && why != state::changed_words;
}

/// What `modelforge state clean` does.
int clean_state(const state_options& options) {
  auto where = folders_of(options);
  if (!where)
    return exit_usage;
  auto order = order_of(options);
  auto now = std::chrono::system_clock::now();
  std::string text;
  std::size_t count = 0, kept = 0;
  uint64_t bytes = 0;
  auto is_failed = false;
  for (auto& file : state::find_files(*where)) {
    auto why = hindrance_to(file, order, now);
    if (why.empty() && !state::is_to_go(file, order, now))
      continue;
    if (why.empty() && !options.dry_run)
      why = state::remove(file), is_failed = is_failed || is_failure(why);
    auto is_gone = why.empty();
    count += is_gone ? 1 : 0;
    kept += is_gone ? 0 : 1;
    bytes += is_gone ? file.bytes : 0;
    text += (!is_gone          ? "kept "
             : options.dry_run ? "would remove "
                               : "removed ")
            + printable(file.path) + (is_gone ? " (" + size_of(file.bytes) + ')' : ": " + why) + '\n';
  }
  text += count_text(count, bytes) + (options.dry_run ? " would be removed, " : " removed, ") + std::to_string(kept)
          + " kept\n";
  return print(text) && !is_failed ? exit_ok : exit_failed;
}

/// The kinds that somebody may have cleaned.
std::string add_kind(std::vector<state::kind>& kinds, const std::string& word) {
  state::kind found{};
  if (from_string(word, found) && found != state::kind::lock && found != state::kind::log) {
    kinds.push_back(found);
    return {};
  }
  return "\"" + word + "\" is none of: limits, draft, trusted, conversation, inputs, ledger";
}

void add_places(command& command, state_options& options) {
  command.text("-c,--config", options.config, "Configuration file; default: MODELFORGE_CONFIG", "FILE");
  command.texts("--in", options.folders, "Look for ledgers of batches there; default: the working folder", "FOLDER");
}

} // namespace

void add_state(command_line& line) {
  auto options = std::make_shared<state_options>();
  auto state = line.add("state", "List what is kept in files, and clean it");
  state.allow_command();
  add_places(state, *options);
  state.flag("--json", options->json, "Print JSON: [{\"kind\",\"path\",\"owner\",\"mode\",\"bytes\",...}, ...]");
  state.footer("Examples:\n  modelforge state\n  modelforge state --in results --json | jq '.[] | select(.in_use)'\n\n"
               "Files of the user's state folder (use of limits, confirmed configurations, conversations, inputs), the "
               "logs' files,\nand batches' ledgers: kind, mode, owner, size, time of the last change, path.");
  state.run_by([options] { return show_state(*options); });
  auto clean = state.add("clean", "Remove files that are old, and that nothing needs");
  add_places(clean, *options);
  clean.repeated(
    "--kind", [options](const std::string& word) { return add_kind(options->kinds, word); },
    "limits, draft, trusted, conversation, inputs or ledger; may be repeated; default: limits and draft", "KIND");
  clean.time("--older-than", options->older_than, "Only what was not changed for so long: 12h, 30d; default: 30d",
             "TIME");
  clean.flag("--dry-run", options->dry_run, "Say what would be removed, and remove nothing");
  clean.footer(
    "Examples:\n  modelforge state clean --dry-run\n"
    "  modelforge state clean --kind ledger --older-than 90d --in results\n\n"
    "Never removed are files that a running program has locked, ledgers of batches that are not finished, "
    "or whose\noutput is not there or empty, or with failed items, and confirmed configurations that are as they "
    "were.");
  clean.run_by([options] { return clean_state(*options); });
}

} // namespace modelforge::cli
