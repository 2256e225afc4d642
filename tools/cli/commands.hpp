#pragma once

#include "tools/cli/command_line.hpp"

#include <modelforge/config/settings.hpp>

#include <optional>
#include <string>

/// The commands of `modelforge`, one file each: it describes the command's options and does what it says.

namespace modelforge::cli {

inline constexpr int exit_ok = 0;
inline constexpr int exit_failed = 1; ///< A request failed.
inline constexpr int exit_usage = 2;  ///< Wrong arguments, files or configuration: nothing was sent.
/// `chat`: there is an answer, but it is cut, empty or of a finish reason that is not known: more room may help.
inline constexpr int exit_cut = 3;
/// `chat`: there is an answer, but the provider's filter or the model withheld it, or a part: another prompt may help.
inline constexpr int exit_blocked = 4;
inline constexpr int exit_interrupted = 130;

void add_chat(command_line& line);
void add_embed(command_line& line); ///< And `models`.
void add_history(command_line& line);
void add_batch(command_line& line);
void add_node(command_line& line);
void add_simulate(command_line& line);
void add_config(command_line& line);
void add_providers(command_line& line);
void add_doctor(command_line& line);
void add_state(command_line& line);
void add_generate(command_line& line);

/// Which provider to ask.
struct target_options {
  std::string config;   ///< Path; empty: look for one.
  std::string provider; ///< Name; empty: the first one.
  std::string model;    ///< Empty: the provider's default.
  bool simulate = false;
  // Of a conversation that goes on: asked where nothing else is said, and as far as they are still there.
  std::string earlier_provider{};
  std::string earlier_model{};
};

/// Adds -c and --show-config, as several commands have them.
void add_config_file(command& command, std::string& path);

/// Adds -c, -p, -m and --simulate. `default_model`: the setting that says which model counts without -m; null: there is
/// no -m.
void add_target(command& command, target_options& target, const char* default_model = "default_model");

/// Adds --timeout, in seconds.
void add_timeout(command& command, std::optional<double>& timeout, const char* help = "Give up after so many seconds");

/// Makes whoever reads settings say on standard error which files and variables they and the keys come from.
void show_sources();

/// Says, where that is wanted, that none are read.
void tell_simulated();

/// Finds the settings, or prints what is wrong with them (or that there are none) and returns nothing.
std::optional<settings> load_settings(const std::string& path);

} // namespace modelforge::cli
