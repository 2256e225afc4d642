#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace modelforge::chat {

/// What a user may do in a session beside asking.
enum class slash_verb : uint8_t {
  help,
  exit,
  clear,
  model,
  system,
  file,
  retry,
  undo,
  show,
  save,
  think,
  stats,
};

/// A command as typed: "/model gpt-4o".
struct slash_command {
  slash_verb verb = slash_verb::help;
  std::string argument; ///< Without white space around it; may have several lines.

  friend bool operator==(const slash_command&, const slash_command&) = default;
};

/// A text that goes to the model.
struct question_text {
  std::string text;

  friend bool operator==(const question_text&, const question_text&) = default;
};

/// What is wrong with an input, for people.
struct input_problem {
  std::string text;

  friend bool operator==(const input_problem&, const input_problem&) = default;
};

/// Reads what was typed: a command where its first character is "/", else a question; "//" begins a question with a
/// slash. A word that is no command is a problem, so that no misspelt command goes to the model.
std::variant<question_text, slash_command, input_problem> read_input(std::string_view typed);

/// The words of all commands, each with its slash, in the order of the help.
std::vector<std::string> slash_words();

/// What `/help` prints.
std::string slash_help();

/// Puts lines together to what is meant as one: between two """, or where a backslash ends a line. Lines that came as
/// one text (pasted, or with line breaks of the editor's own) are one already.
class line_composer {
public:
  enum class state : uint8_t { complete, open };

  /// Takes the next line. `complete`: `take` has the whole input.
  state feed(std::string_view line);

  /// Returns the input, and begins anew.
  std::string take();

  /// Forgets what came.
  void reset() { take(); }

  bool is_open() const { return is_open_; }

private:
  std::vector<std::string> lines_;
  bool is_open_ = false;
  bool is_quoted_ = false;
};

} // namespace modelforge::chat
