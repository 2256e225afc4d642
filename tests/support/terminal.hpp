#pragma once

#include "tests/support/process.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace modelforge::test {

/// A program at a terminal of its own (a pseudo-terminal of 24 lines and 80 columns), and somebody who types. It is
/// killed with the object.
class terminal {
public:
  /// Of the options arguments, environment and folder count.
  explicit terminal(const process_options& x);
  ~terminal();
  terminal(const terminal&) = delete;
  terminal& operator=(const terminal&) = delete;

  void type(std::string_view text);

  /// Waits until the screen has got this text, behind what was waited for before. False at the program's end, or after
  /// 20 s.
  bool shows(std::string_view text);

  /// Waits for the program's end, at most 20 s; returns its exit code, -1 if it had to be killed.
  int wait();

  void signal(int number) const;

  /// Closes the terminal, as its window does: the program gets SIGHUP.
  void hang_up();

  /// All that was printed until now.
  const std::string& screen() const { return screen_; }

private:
  bool read_some();

  pid_t pid_ = -1;
  int master_ = -1;
  std::string screen_;
  std::size_t seen_ = 0; ///< Of the screen, by `shows`.
};

} // namespace modelforge::test
