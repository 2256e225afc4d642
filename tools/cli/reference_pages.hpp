#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace modelforge::cli {

/// The tables of docs/reference.md, by their names: "errors", "exit-codes", "variables", "signals", "files". Nothing
/// for any other name.
std::optional<std::string> reference_page(std::string_view name);

/// What is read from the environment. Texts are Markdown.
struct variable_description {
  std::string names; ///< One or several, each between backticks.
  std::string meaning;
};

/// All variables, those of providers last.
std::vector<variable_description> environment_variables();

} // namespace modelforge::cli
