#pragma once

#include "telemetry/program_status.hpp"

#include <modelforge/messages/interfaces.hpp>

#include <caf/fwd.hpp>

#include <chrono>
#include <functional>
#include <vector>

namespace modelforge {

/// How long all who are asked have, together, to tell how they stand. What answers by then is told; of the others it is
/// told that they did not.
inline constexpr auto inquiry_time = std::chrono::milliseconds{700};

/// Called once, on a thread of the inquiry's own, where it may take its time.
using status_receiver = std::function<void(telemetry::program_status)>;

/// Asks the registry, its providers and its node how they stand, all at once, and hands on what they say after
/// `inquiry_time` at the latest. Each inquiry is an actor of its own, so none waits for another. A null registry has
/// ended, and does not answer.
void inquire(caf::actor_system& system, const registry_actor& registry, status_receiver receiver);

/// Likewise of providers that have no registry. One that has not answered is called by its place: "#2".
void inquire(caf::actor_system& system, const std::vector<provider_actor>& providers, status_receiver receiver);

} // namespace modelforge
