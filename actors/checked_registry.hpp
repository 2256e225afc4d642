#pragma once

#include <modelforge/actors/registry.hpp>

#include <string>

namespace modelforge {

/// As `spawn_registry`, of settings that have been checked: they have no errors that `check` knows. `log` is not null.
std::variant<registry_actor, failure> spawn_checked_registry(caf::actor_system& system, const settings& all,
                                                             log_handle log, std::string origin = {});

} // namespace modelforge
