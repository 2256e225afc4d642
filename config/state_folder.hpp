#pragma once

#include <modelforge/config/secret.hpp>

#include <string>

namespace modelforge {

/// Where the user's state is kept unless settings say otherwise: `modelforge` in XDG_STATE_HOME, else
/// ~/.local/state/modelforge; empty where the environment names no home.
std::string default_state_folder(const environment& env = process_environment());

} // namespace modelforge
