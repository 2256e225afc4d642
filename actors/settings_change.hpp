#pragma once

#include <modelforge/config/load.hpp>
#include <modelforge/config/settings.hpp>
#include <modelforge/messages/error.hpp>

#include <optional>
#include <string>
#include <vector>

/// What other settings mean for a program that runs.

namespace modelforge {

/// All errors among these, as one failure; empty: there are none.
std::optional<failure> errors_of(const std::vector<diagnostic>& all);

/// Names the tables of settings that differ and take effect only when the program is started again.
std::vector<std::string> tables_that_need_restart(const settings& fresh, const settings& in_force);

/// What needs a restart stays as it is.
void keep_what_needs_restart(settings& fresh, const settings& in_force);

} // namespace modelforge
