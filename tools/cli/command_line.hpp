#pragma once

#include "tools/cli/command_description.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace CLI {

class App;
class Option;

} // namespace CLI

/// The command line as the commands describe it. Only command_line.cpp knows CLI11, which takes long to compile.

namespace modelforge::cli {

/// An option that a command has, to say more about it.
class option {
public:
  explicit option(CLI::Option& underlying) : underlying_(&underlying) {}

  option& required();

  /// Refuses 0, though its range includes it; `remedy` says what is meant by it.
  option& above_zero(const char* remedy);

  /// Shows the target's value in the help.
  option& show_default();

private:
  CLI::Option* underlying_;
};

/// A command while it is described. `names` are "-c,--config", or "FILE" for an argument by position; `type` says in
/// the help what follows. Targets keep their values where an option is not given, and are set before the command runs.
class command {
public:
  using action = std::function<int()>;

  /// Takes a text; returns what is wrong with it, for people, or "".
  using parser = std::function<std::string(const std::string&)>;

  command(CLI::App& app, std::vector<std::pair<CLI::App*, action>>& actions) : app_(&app), actions_(&actions) {}

  /// Adds a command below this one, which needs one of them then, or may have one.
  command add(const char* name, const char* help);
  void require_command();
  void allow_command();

  /// A text; that of an option must not be empty.
  option text(const char* names, std::string& target, const char* help, const char* type = nullptr);
  /// One whose text may be left out: then it is "".
  option maybe_text(const char* names, std::optional<std::string>& target, const char* help, const char* type);
  option texts(const char* names, std::vector<std::string>& target, const char* help, const char* type = nullptr);
  option flag(const char* names, bool& target, const char* help);
  option flag(const char* names, std::function<void()> set, const char* help);

  /// A number from `min` to `max`. T: double, uint32_t, uint64_t; also as `std::optional`.
  template <class T>
  option number(const char* names, T& target, const char* help, const char* type, T min, T max);
  template <class T>
  option number(const char* names, std::optional<T>& target, const char* help, const char* type, T min, T max);
  template <class T>
  option number(const char* names, std::function<void(T)> set, const char* help, const char* type, T min, T max);

  /// Any number that the target holds.
  option number(const char* names, uint64_t& target, const char* help, const char* type);
  option number(const char* names, std::optional<int64_t>& target, const char* help, const char* type);

  /// Seconds, more than 0, or a number with a unit: 90, 15m, 2h, 1d.
  option time(const char* names, std::optional<double>& target, const char* help, const char* type);

  /// One of some words.
  option choice(const char* names, std::string& target, const char* help, std::vector<std::string> words);

  /// A text of a form of its own; one that may be repeated is parsed each time.
  option parsed(const char* names, parser parse, const char* help, const char* type);
  option repeated(const char* names, parser parse, const std::string& help, const char* type);

  /// Text below the options in the help.
  void footer(const char* text);

  /// Leaves it out of the help, of manual pages and completions: it is for scripts.
  void hide();

  /// Checks the options together, once all are set; what it returns is wrong with them, or "".
  void check(std::function<std::string()> problem);

  /// What the command does; returns the exit code. It keeps the targets alive.
  void run_by(action run);

private:
  CLI::App* app_;
  std::vector<std::pair<CLI::App*, action>>* actions_;
};

/// All commands of the program.
class command_line {
public:
  command_line(const char* description, const char* name, const char* version);
  ~command_line();

  command add(const char* name, const char* help);
  void footer(const char* text);

  /// All commands but hidden ones, as data.
  command_description describe() const;

  /// Runs the command that the arguments name, or says what is wrong with them, and returns the exit code.
  int run(int argc, char** argv);

private:
  int refuse(int argc, char** argv, const std::string& problem, bool is_unknown);
  CLI::App* chosen() const;
  std::string explain_unknown() const;
  std::string explain_option(const std::string& given) const;
  int run_chosen();

  std::unique_ptr<CLI::App> app_;
  std::vector<std::pair<CLI::App*, command::action>> actions_;
};

} // namespace modelforge::cli
