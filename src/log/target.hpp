#pragma once

#include "base/file.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace modelforge::log {

/// Where lines go: standard error, a file, or nowhere. Of one thread at a time.
///
/// A file is appended to, and made with mode 0640. Nothing here waits for long: who does not take lines within a
/// second (a full pipe) does not get them.
class target {
public:
  /// `sink`: "stderr", "none" or a path. The text says why the file cannot be had.
  static std::variant<target, std::string> open(const std::string& sink);

  bool is_none() const { return sink_ == "none"; }
  bool is_stderr() const { return sink_ == "stderr"; }
  const std::string& sink() const { return sink_; }

  /// Whether standard error leads to systemd's journal, which wants each line's level in front of it.
  bool is_journal() const { return is_journal_; }

  /// Writes whole lines. Returns why it could not; then some of them may be there, and the next write begins on a line
  /// of its own.
  std::optional<std::string> write(std::string_view lines);

  /// Opens the file again by its name. Returns why it could not; then it writes on where it did.
  std::optional<std::string> reopen();

private:
  explicit target(std::string sink) : sink_(std::move(sink)) {}

  int descriptor() const;

  std::string sink_;
  base::file file_;
  bool is_journal_ = false;
  bool is_torn_ = false; ///< The last line has no end.
};

/// Says something on standard error, for want of a better place, if it takes it at once.
void say_aside(const std::string& text);

} // namespace modelforge::log
