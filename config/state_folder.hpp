#pragma once

#include <modelforge/config/secret.hpp>

#include <string>

namespace modelforge {

/// A variable's folder; empty: it has none. What is no whole path would depend on the working folder: it counts as not
/// set (XDG Base Directory Specification).
std::string folder_of_variable(const environment& env, const char* name);

/// Where the user's state is kept unless settings say otherwise: `modelforge` in the first folder of STATE_DIRECTORY,
/// which systemd sets (that folder itself where it is called so), else in XDG_STATE_HOME, else
/// ~/.local/state/modelforge; empty where the environment names no home.
std::string default_state_folder(const environment& env = process_environment());

/// Why files cannot be kept in this folder, as far as can be seen without trying; empty if they can.
std::string state_folder_problem(const std::string& folder);

} // namespace modelforge
