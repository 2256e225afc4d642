#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

namespace modelforge::cli {

/// What standard input may be. `nothing`: closed, /dev/null or another device; `pipe`: or a socket.
enum class input_kind : uint8_t { nothing, terminal, file, pipe };

/// Returns what standard input is.
input_kind standard_input_kind();

/// What reading standard input gave.
struct input_text {
  std::string text;
};

/// How long to wait for standard input.
struct input_patience {
  std::optional<double> timeout; ///< Seconds until its end; empty: for ever.
  /// It may be one that was inherited, and to which nobody will ever write, as remote shells, services and programs
  /// that start others leave theirs open. So when nothing has come for `idle_input`, only a pipe is waited for which a
  /// program beside this one writes to, as in a pipeline of a shell; else it counts as empty, with a warning.
  bool only_pipelines = false;
};

/// How long nothing may come before that is told on standard error.
inline constexpr double idle_input = 3; // seconds

/// Reads all of standard input, at most `limit` bytes. A string is the reason for failure, as the end of a sentence
/// that begins with "standard input".
std::variant<input_text, std::string> read_standard_input(std::size_t limit, const input_patience& patience);

} // namespace modelforge::cli
