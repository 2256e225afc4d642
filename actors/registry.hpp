#pragma once

#include <modelforge/config/settings.hpp>
#include <modelforge/log/start_log.hpp>
#include <modelforge/messages/interfaces.hpp>

#include <caf/fwd.hpp>

#include <string>
#include <variant>

namespace modelforge {

/// Spawns the registry with an actor for each configured provider; call `init_types` first, and `apply(all, config)`
/// before the actor system is made. Where [node] makes the program a node among others, it listens and connects from
/// now on, and providers that another node runs are had by the same handles and calls (docs/nodes.md). A failure
/// (`errc::configuration`) says which settings are wrong, by the rules that hold for files, and how to mend them; then
/// nothing was spawned.
///
/// `log`: where it tells what happens (docs/logs.md), and which its reloads change; null: it starts one by [log].
/// `origin`: the file that the settings are from, for the status; empty: none.
///
/// The providers end with the registry: send it an exit message before the actor system ends, or the system waits for
/// what is in flight.
std::variant<registry_actor, failure> spawn_registry(caf::actor_system& system, const settings& all,
                                                     log_handle log = {}, std::string origin = {});

} // namespace modelforge
