#pragma once

#include <cstdint>
#include <string>

namespace modelforge::simulator {

/// Returns the time so many seconds after 1970 as RFC 3339 has it: "2026-09-01T10:00:07Z".
std::string utc_time(int64_t seconds);

/// Returns it as HTTP's Date header has it.
std::string http_date(int64_t seconds);

} // namespace modelforge::simulator
