#pragma once

#include "http/message.hpp"

#include <chrono>
#include <optional>
#include <string_view>

namespace modelforge::wire {

/// Reads how long the server asks us to wait: `retry-after-ms`, else `retry-after` as seconds (fractions too) or as an
/// HTTP date, which is taken relative to the answer's own Date header, or to `now` where it has none. A wait that is
/// over is 0; empty when there is none, it cannot be read, or it is longer than a year.
std::optional<std::chrono::nanoseconds> retry_after(const http::response_head& head,
                                                    std::chrono::system_clock::time_point now);

/// Reads an HTTP date as servers must send it, e.g. "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7).
std::optional<std::chrono::sys_seconds> read_http_date(std::string_view text);

} // namespace modelforge::wire
