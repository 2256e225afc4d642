#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace modelforge::chat {

/// What was typed in sessions, for the editor's arrow keys: a file (mode 0600), an input a line, newest last. Several
/// sessions may add to it at a time. What cannot be read or written is not there: a session goes on without.
class input_history {
public:
  static constexpr std::size_t max_inputs = 1000;

  /// Reads the newest inputs; an empty path keeps nothing. A file that has grown to twice the bound is cut.
  explicit input_history(std::string path);

  /// The oldest first.
  const std::vector<std::string>& inputs() const { return inputs_; }

  /// Adds one, unless it is blank, begins with a blank (as shells have it for what is not to be kept) or is the last
  /// one again. Returns whether it was added.
  bool add(std::string_view input);

private:
  std::string path_;
  std::vector<std::string> inputs_;
};

/// An input as a line of the file, without its newline, and back.
std::string escaped_input(std::string_view input);
std::string unescaped_input(std::string_view line);

} // namespace modelforge::chat
