#pragma once

#include "http/message.hpp"

#include <chrono>
#include <optional>

namespace modelforge::wire {

/// Reads how long the server asks us to wait: `retry-after-ms`, else `retry-after` as seconds (fractions too) or as an
/// HTTP date, which is taken relative to the answer's own Date header, or to `now` where it has none. A wait that is
/// over is 0; empty when there is none, it cannot be read, or it is longer than a year.
std::optional<std::chrono::nanoseconds> retry_after(const http::response_head& head,
                                                    std::chrono::system_clock::time_point now);

/// Reads `x-should-retry`: the server's own word on whether to try again.
std::optional<bool> should_retry(const http::response_head& head);

} // namespace modelforge::wire
