#pragma once

#include "config/reference.hpp"
#include "tools/cli/command_description.hpp"

#include <string>
#include <vector>

/// Manual pages, in the language of man(7).

namespace modelforge::cli {

/// What every page says of where it is from.
struct man_edition {
  std::string version; ///< "0.1.0"
  std::string date;    ///< "2026-12-01"
};

/// The page of a command, in section 1. `program`: the whole program, whose other commands the page refers to.
std::string man_page(const command_description& program, const command_description& command,
                     const man_edition& edition);

/// The page of the configuration, in section 5.
std::string man_page(const std::vector<reference_table>& tables, const man_edition& edition);

} // namespace modelforge::cli
