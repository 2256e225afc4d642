#pragma once

#include <modelforge/config/log_settings.hpp>
#include <modelforge/log/record.hpp>
#include <modelforge/messages/error.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <variant>

/// The log of a program that has ModelForge in it.

namespace modelforge {

namespace log {

class logger;

} // namespace log

/// A log that is being written, shared by all that write to it; it ends with its last owner, who waits up to two
/// seconds for what is not written yet. Null: nothing is logged.
using log_handle = std::shared_ptr<log::logger>;

/// What a program says of its log beside the settings.
struct log_options {
  log_sink sink{};                       ///< Gets the events in place of what `log.sink` names; empty: that.
  log_level level = log_level::warning;  ///< Where the settings say `automatic`.
  std::string automatic_sink = "stderr"; ///< Likewise.
};

/// Starts a log, and its thread. Never throws. A failure (`errc::configuration`) names the file that cannot be opened.
std::variant<log_handle, failure> start_log(const log_settings& settings, const log_options& options = {});

/// Opens the files of the log and of the access log again, by their names: for files that have been moved away
/// (logrotate). Returns at once.
void reopen(const log_handle& log);

/// How many events were dropped, because the log had no room or could not be written.
uint64_t dropped_events(const log_handle& log);

/// How many requests the access log has not, for the same reasons.
uint64_t dropped_requests(const log_handle& log);

} // namespace modelforge
