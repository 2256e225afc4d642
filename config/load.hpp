#pragma once

#include <modelforge/config/secret.hpp>
#include <modelforge/config/settings.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// From TOML, or from keys in the environment, to settings, with all errors reported at once.

namespace modelforge {

enum class severity : uint8_t { error, warning };

template <>
inline constexpr auto enum_names<severity> = std::to_array<std::string_view>({"error", "warning"});

/// One thing that is wrong with a configuration, as a compiler would report it. Nothing in it shows a secret.
struct diagnostic {
  severity level = severity::error;
  std::string file;    ///< As given to the loader; for settings that come from no file, what they come from.
  uint32_t line = 0;   ///< From 1; 0: it has no place in a file.
  uint32_t column = 0; ///< In bytes, from 1.
  std::string message;
  std::string source_line; ///< The line in question, with keys masked and unprintable characters replaced.
  uint32_t caret = 0;      ///< Where `column` is in `source_line`, in characters, from 1.
  std::string hint;        ///< Allowed values or a remedy; may be empty.
};

/// Renders `FILE:LINE:COL: error: MESSAGE`, then the line, a caret below the column, and the hint.
std::string to_string(const diagnostic& shown);

struct load_result {
  std::optional<settings> value;         ///< Empty if there is any error.
  std::vector<diagnostic> diagnostics;   ///< In the file's order.
  std::string origin;                    ///< Where the settings came from, for people; empty if nothing was found.
  bool is_found_here = false;            ///< They are the working folder's, and nobody has named the file.
  std::map<std::string, uint32_t> lines; ///< Of the keys that stand in the file, by their paths; from 1.
};

/// Reads TOML. `name` stands for the file in diagnostics, and relative paths lead from its folder.
load_result parse(std::string_view text, std::string name, const environment& env = process_environment());

/// Reads a file; one that cannot be read is a diagnostic like any other.
load_result load_file(const std::string& path, const environment& env = process_environment());

/// Makes a provider of each well-known key in the environment (`OPENAI_API_KEY`, `ANTHROPIC_API_KEY`, ...) and of
/// `OLLAMA_HOST`. Returns nothing if there is none.
std::optional<settings> settings_from_environment(const environment& env = process_environment());

/// Finds the settings: `explicit_path` if not empty, else the file that `$MODELFORGE_CONFIG` names, else
/// `./modelforge.toml`, else `modelforge/modelforge.toml` in `$XDG_CONFIG_HOME` (default `~/.config`; what is no
/// whole path does not count), else the keys in the environment. The first that is there counts, faulty or not. If
/// there is none of them the result has neither value nor diagnostics nor origin.
///
/// `./modelforge.toml` is an error if it sends a key elsewhere than to the key's own provider, unless the user has
/// confirmed it (`modelforge config trust`): docs/security.md says what that means.
load_result discover(const std::string& explicit_path, const environment& env = process_environment());

/// Checks settings that a program has made itself by the rules that hold for files. `origin` stands for the file.
std::vector<diagnostic> check(const settings& all, const std::string& origin = "settings",
                              const environment& env = process_environment());

/// Writes all settings, defaults included, as TOML that loads to equal settings. `note`, where there is one, says what
/// stands as a comment behind a value, given the value's path: "providers.main.retry.max_attempts".
std::string to_toml(settings all, const std::function<std::string(const std::string& path)>& note = {});

/// `config/example.toml`: every key with its default and an explanation.
std::string example_toml();

/// Every key of every table with type, unit, range, default and meaning, as Markdown: the tables of
/// docs/configuration.md.
std::string reference_markdown();

} // namespace modelforge
