#pragma once

#include <modelforge/config/log_settings.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace modelforge {

using log_value = std::variant<std::string, int64_t, double, bool>;

/// One thing that an event says of itself. Texts are UTF-8, without secrets, and of at most 1,024 bytes; they may be of
/// others, with line breaks and control characters: escape them. Times are in seconds.
struct log_field {
  std::string_view name; ///< From docs/logs.md; lives as long as the program.
  log_value value;
};

/// One event, as a host's sink sees it while it is called; it keeps none of it.
struct log_record {
  std::chrono::system_clock::time_point time;
  log_level level{};
  std::string_view event;     ///< A stable name, such as "breaker.opened". docs/logs.md lists all.
  std::string_view component; ///< The part of the program that it is from.
  std::string_view message;   ///< What it means: a fixed sentence, whose words may change with any version.
  std::span<const log_field> fields;
};

/// A host's own sink. It is called on the log's thread, for one event at a time, and may take its time: what comes
/// meanwhile waits, up to a bound, beyond which it is counted and dropped. What it throws is counted and lost.
using log_sink = std::function<void(const log_record&)>;

} // namespace modelforge
