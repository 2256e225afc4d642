#pragma once

#include "telemetry/program_status.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// What the operating system says of this process. What it does not say, or says otherwise than Linux does, is empty.

namespace modelforge::telemetry {

struct process_figures {
  std::optional<double> cpu_seconds; ///< User and system time of all its threads.
  std::optional<uint64_t> resident_bytes;
  std::optional<uint64_t> open_fds;
  std::optional<uint64_t> max_fds; ///< The soft limit; empty: there is none.
};

/// Takes some microseconds, and as many as ten milliseconds with a hundred thousand open descriptors: not for an actor.
/// `proc`: where the system shows its processes.
process_figures read_process(const std::string& proc = "/proc");

/// When the process started; where the system does not say, when this was asked first.
wall_time process_start();

/// In ticks since the machine's start, from the text of /proc/PID/stat; the program's name in it may be anything.
std::optional<uint64_t> start_ticks_in(std::string_view stat);

/// In seconds since 1970, from the text of /proc/stat.
std::optional<uint64_t> boot_time_in(std::string_view stat);

/// In pages, from the text of /proc/PID/statm.
std::optional<uint64_t> resident_pages_in(std::string_view statm);

} // namespace modelforge::telemetry
