#pragma once

#include "tools/simulator/exchange.hpp"

namespace modelforge::simulator {

struct hub;

/// Returns the answer to `incoming` by the table of endpoints; an unknown path or a wrong method is answered in the
/// form of the provider that has such paths. The simulator's own endpoints (`is_control`) read and change `shared`.
reply route(const exchange& incoming, hub& shared);

/// Returns an error for a request that is not even worth routing: bad HTTP, too large.
reply refuse(const exchange& incoming, int status, std::string message);

/// Returns whether `path` is one of the simulator's own endpoints, which no statistics count.
inline bool is_control(std::string_view path) {
  return path.starts_with("/__simulator/");
}

} // namespace modelforge::simulator
