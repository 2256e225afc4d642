#pragma once

#include <chrono>
#include <optional>
#include <string_view>

/// Times as servers write them. What cannot be read, or lies further away than a year, is empty.

namespace modelforge::wire {

/// Reads an HTTP date as servers must send it, e.g. "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7), in its two old
/// forms ("Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"), and with what libraries make of it: no
/// weekday, a day of one digit, UTC or an offset ("+0000") for GMT.
std::optional<std::chrono::sys_seconds> read_http_date(std::string_view text);

using sys_milliseconds = std::chrono::sys_time<std::chrono::milliseconds>;

/// Reads a time as RFC 3339 has it, e.g. "2026-09-01T10:00:07.25+02:00"; parts of a millisecond are dropped.
std::optional<sys_milliseconds> read_rfc3339(std::string_view text);

/// Reads a duration as Go writes it: decimals with the units h, m, s, ms, us (or µs) and ns, e.g. "1h2m3.5s". Below 0
/// it is 0.
std::optional<std::chrono::nanoseconds> read_duration(std::string_view text);

/// Reads a duration as people and libraries write it: as `read_duration`, with spaces and words ("1 minute 30 s",
/// "2 hours"), with days, as ISO 8601 ("PT1M30S") or as .NET ("00:01:30").
std::optional<std::chrono::nanoseconds> read_spoken_duration(std::string_view text);

/// Reads how long an error's words ask to wait: "Please try again in 1m2.5s.", "retry after 8 seconds". A number needs
/// its unit.
std::optional<std::chrono::nanoseconds> find_wait(std::string_view words);

/// Reads a decimal number.
std::optional<double> read_decimal(std::string_view text);

/// Turns seconds into a wait, rounded up; below 0 it is 0.
std::optional<std::chrono::nanoseconds> wait_of(double seconds);

} // namespace modelforge::wire
