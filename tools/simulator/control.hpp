#pragma once

#include "tools/simulator/exchange.hpp"
#include "tools/simulator/hub.hpp"

/// The simulator's own endpoints, below /__simulator/.
namespace modelforge::simulator::control {

/// `GET /__simulator/stats`.
reply show_stats(const exchange& x, hub& shared);

/// `POST /__simulator/reset`.
reply reset_stats(const exchange& x, hub& shared);

/// `POST /__simulator/configure`: changes what the members of a JSON object name; all of them, or with a 400 none.
reply configure(const exchange& x, hub& shared);

/// `GET /__simulator/faults/{request id}`: how often the id was seen, and its last fault.
reply show_attempts(const exchange& x, hub& shared);

} // namespace modelforge::simulator::control
