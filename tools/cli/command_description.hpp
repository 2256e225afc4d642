#pragma once

#include <string>
#include <vector>

/// What the command line is, as data: manual pages and completions are written from it, and so say what --help says.

namespace modelforge::cli {

struct option_description {
  std::vector<std::string> names;     ///< "-c", "--config"; of an argument by position only "FILE".
  std::string type{};                 ///< What follows, for people: "FILE"; empty: nothing does.
  std::string range{};                ///< What is allowed of it: "1 to 16"; empty: anything.
  std::vector<std::string> choices{}; ///< The words that it may be; empty: others, too.
  std::string default_value{};
  std::string help{};
  bool is_positional = false;
  bool is_required = false;
  bool is_repeated = false;
  bool is_value_optional = false;
};

struct command_description {
  std::vector<std::string> words; ///< "modelforge", "batch", "status"
  std::string help;
  std::string footer;
  bool needs_command = false; ///< One of `commands` has to follow.
  std::vector<option_description> options{};
  std::vector<command_description> commands{};

  /// "modelforge batch status", or with another text between the words.
  std::string name(const char* between = " ") const {
    std::string result;
    for (auto& word : words)
      result += (result.empty() ? "" : between) + word;
    return result;
  }
};

/// Calls back for a command and all below it, each before those below it.
template <class Visit>
void for_each_command(const command_description& command, const Visit& visit) {
  visit(command);
  for (auto& each : command.commands)
    for_each_command(each, visit);
}

} // namespace modelforge::cli
