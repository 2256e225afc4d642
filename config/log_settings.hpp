#pragma once

#include <modelforge/messages/enums.hpp>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace modelforge {

/// How much an event of the log matters, the most first. `automatic` is none of an event: in the settings it leaves the
/// choice to the program.
enum class log_level : uint8_t { error, warning, info, debug, automatic };

template <>
inline constexpr auto enum_names<log_level> = std::to_array<std::string_view>({"error", "warning", "info", "debug",
                                                                               "automatic"});

enum class log_format : uint8_t { text, json };

template <>
inline constexpr auto enum_names<log_format> = std::to_array<std::string_view>({"text", "json"});

/// What is logged, and where to.
struct log_settings {
  /// The least that is logged. `automatic`: `info` of `modelforge node`, `warning` of all others.
  log_level level = log_level::automatic;
  log_format format = log_format::text;
  /// "stderr", "none" or a file's path. "automatic": standard error; of commands that answer and end, and say what goes
  /// wrong themselves, nowhere unless `level` is set.
  std::string sink = "automatic";
  bool content = false; ///< Whether prompts are logged, too: at `debug`.
  /// Where each request gets a line: "stderr", "none" or a file's path.
  std::string access = "none";

  bool names_file() const { return sink != "stderr" && sink != "none" && sink != "automatic"; }
  bool names_access_file() const { return access != "stderr" && access != "none"; }

  friend bool operator==(const log_settings&, const log_settings&) = default;
};

} // namespace modelforge
