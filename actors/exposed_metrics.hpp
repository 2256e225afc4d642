#pragma once

#include "telemetry/exposition.hpp"

#include <caf/fwd.hpp>

namespace modelforge {

/// Writes all metrics of the actor system, those of other components included. (CAF's own collector adds times, which
/// Prometheus takes for the sample's and which hide that a series has ended, and cuts small numbers.)
void write_metrics(telemetry::exposition& out, const caf::telemetry::metric_registry& registry);

} // namespace modelforge
