#pragma once

#include "node/shared_gate.hpp"

#include <modelforge/messages/interfaces.hpp>

#include <caf/fwd.hpp>

#include <cstdint>
#include <memory>
#include <string>

namespace modelforge {

/// Stands on the owner's node for the callers of one other node: asks the provider for them, keeps answers within the
/// size of a message and within what `gate` lets through, tells what has arrived, and withdraws what they asked for
/// when their node is lost. Requests without a tenant get the node's name as theirs. Spawns one; it ends with
/// `watched`, an actor of that node, and with the provider. Without a gate answers go at once.
provider_actor spawn_provider_guest(caf::actor_system& system, provider_actor provider, std::string node,
                                    caf::strong_actor_ptr watched, uint64_t max_message_bytes,
                                    std::shared_ptr<node::shared_gate> gate = {});

} // namespace modelforge
