#pragma once

#include <modelforge/actors/system.hpp>
#include <modelforge/config/settings.hpp>
#include <modelforge/messages/interfaces.hpp>

#include <caf/fwd.hpp>

#include <memory>
#include <variant>

namespace modelforge {

/// Spawns the actor of one provider. A failure (`errc::configuration`) says which setting keeps it from starting: a
/// kind that is not spoken yet, a key that is not in the environment, a header value that cannot be had.
///
/// The actor lives while somebody holds it or it has requests, whether or not anybody still waits for their answers:
/// send it an exit message before the actor system ends, or the system waits for what is in flight. One actor per
/// credential: two of them would add up their limits.
std::variant<provider_actor, failure> spawn_provider(caf::actor_system& system, const provider_settings& provider,
                                                     const runtime_settings& runtime,
                                                     std::shared_ptr<http::client> transport);

} // namespace modelforge
