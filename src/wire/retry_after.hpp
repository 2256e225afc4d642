#pragma once

#include "http/message.hpp"

#include <chrono>
#include <optional>

namespace modelforge::wire {

/// Reads how long the server asks us to wait: `retry-after-ms` or `x-ms-retry-after-ms` (Azure), else `retry-after` as
/// seconds (fractions too), as a duration ("500ms", "1 minute", "PT1M30S"), as an HTTP date in any form, as RFC 3339 or
/// as a Unix time; else the same names behind `llm_provider-` (LiteLLM's proxy). Points in time are taken relative to
/// the answer's own Date header, or to `now` where it has none. A wait that is over is 0; empty when there is none, it
/// cannot be read, or it is longer than a year.
std::optional<std::chrono::nanoseconds> retry_after(const http::response_head& head,
                                                    std::chrono::system_clock::time_point now);

/// Reads `x-should-retry`: the server's own word on whether to try again.
std::optional<bool> should_retry(const http::response_head& head);

} // namespace modelforge::wire
