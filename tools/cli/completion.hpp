#pragma once

#include "tools/cli/command_description.hpp"

#include <string>

/// Scripts that complete the program's commands, options and their values at a shell's prompt.

namespace modelforge::cli {

std::string bash_completion(const command_description& program);
std::string zsh_completion(const command_description& program);
std::string fish_completion(const command_description& program);

} // namespace modelforge::cli
