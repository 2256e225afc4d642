#pragma once

#include "tools/simulator/exchange.hpp"
#include "tools/simulator/hub.hpp"

/// The simulator's own endpoints, below /__simulator/.
namespace modelforge::simulator::control {

/// `GET /__simulator/stats`: the counts so far, as `to_json` writes them.
reply show_stats(const exchange& incoming, hub& shared);

/// `POST /__simulator/reset`: clears the counts, not the settings or the cache.
reply reset_stats(const exchange& incoming, hub& shared);

/// `POST /__simulator/configure`: changes what the members of a JSON object name; all of them, or with a 400 none.
reply configure(const exchange& incoming, hub& shared);

/// `GET /__simulator/faults/{request id}`: how often the id was seen, and its last fault.
reply show_attempts(const exchange& incoming, hub& shared);

} // namespace modelforge::simulator::control
