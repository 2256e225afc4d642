#pragma once

#include "log/request_record.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

/// How a request stands in the access log: one line with a JSON object, escaped as the log's lines are.

namespace modelforge::log {

/// Appends the line of a request that ended at `time`. Members without a value are left out.
void append_access(std::string& out, const request_record& record, std::chrono::system_clock::time_point time);

/// Lines that could not be written: how many, for how long that was so, and why.
struct missing_lines {
  uint64_t count = 0;
  std::chrono::nanoseconds time{0};
  std::string_view reason;
};

/// Appends the line that stands where others are missing:
/// `{"time":...,"missing":5,"duration_seconds":1.5,"reason":"..."}`.
void append_missing(std::string& out, const missing_lines& lost, std::chrono::system_clock::time_point time);

/// The table of all members, as docs/logs.md has it.
std::string access_markdown();

} // namespace modelforge::log
