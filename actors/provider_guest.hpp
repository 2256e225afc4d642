#pragma once

#include <modelforge/messages/interfaces.hpp>

#include <caf/fwd.hpp>

#include <cstdint>
#include <string>

namespace modelforge {

/// Stands on the owner's node for the callers of one other node: asks the provider for them, keeps answers within the
/// size of a message, and withdraws what they asked for when their node is lost. Requests without a tenant get the
/// node's name as theirs, so that nodes share limits fairly. Spawns one; it ends with `watched`, an actor of that node,
/// and with the provider.
provider_actor spawn_provider_guest(caf::actor_system& system, provider_actor provider, std::string node,
                                    caf::strong_actor_ptr watched, uint64_t max_message_bytes);

} // namespace modelforge
