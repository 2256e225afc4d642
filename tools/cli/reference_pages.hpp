#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace modelforge::cli {

/// The tables of docs/reference.md, by their names: "errors", "exit-codes", "variables", "signals", "files". Nothing
/// for any other name.
std::optional<std::string> reference_page(std::string_view name);

} // namespace modelforge::cli
