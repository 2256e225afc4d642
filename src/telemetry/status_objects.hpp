#pragma once

#include "telemetry/readiness.hpp"
#include "json/value.hpp"

#include <vector>

namespace modelforge::telemetry {

/// The reasons as /readyz and /status have them.
json::value to_array(const std::vector<not_ready_reason>& reasons);

} // namespace modelforge::telemetry
