#pragma once

#include <modelforge/config/load.hpp>

#include <string>
#include <string_view>
#include <vector>

/// How a problem is put into words that may be shown anywhere.

namespace modelforge {

/// A key, value or file name as it stands in messages: `between backticks`.
std::string code(std::string_view text);

/// Writes control characters as TOML does (\u001B), so that a name or value from a file cannot steer the terminal that
/// shows it. Takes UTF-8.
std::string printable(std::string_view text);

/// "1.5 s"
std::string seconds_text(duration time);

/// Fills `source_line` and `caret` from `line`, with credentials and the texts in `hidden` masked. Long lines are cut
/// around the caret.
void show_line(diagnostic& shown, std::string_view line, const std::vector<std::string>& hidden);

} // namespace modelforge
