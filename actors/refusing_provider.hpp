#pragma once

#include <modelforge/messages/error.hpp>
#include <modelforge/messages/interfaces.hpp>

#include <caf/fwd.hpp>

namespace modelforge {

/// Spawns a provider that takes nothing, and says why: so a stream that cannot begin ends like every other.
provider_actor spawn_refusing_provider(caf::actor_system& system, const failure& why);

} // namespace modelforge
