#pragma once

#include <modelforge/config/load.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/schema.hpp"

/// What a key's own type and range cannot say: how settings fit together, and what must not stand in them.

namespace modelforge {

/// A fault before it has a place in a file.
struct finding {
  severity level = severity::error;
  std::vector<std::string>
    paths; ///< Of the keys involved, e.g. "providers.main.retry.max_wait"; the first is to blame.
  std::string message;
  std::string hint;
};

/// Judges settings as a whole. Values are taken to be within their ranges.
std::vector<finding> cross_check(const settings& x, const environment& env);

/// Brings settings to the form that the rest of the program relies on: a base_url begins with a scheme in
/// small letters and ends in no slash, every key has a name.
void normalize(settings& x);

/// Judges a number against its key's range.
std::optional<finding> check_range(const std::string& path, const schema::key_rule& key, const schema::slot& value,
                                   double number);

/// Whether a text is a credential by its looks. Made for names of variables, which real keys may be mistaken for.
bool looks_like_key(std::string_view text);

/// Whether only a credential would be the value under such a name ("api_key", "Authorization", "cookie").
bool names_credential(std::string_view name);

/// A key, value or file name as it stands in messages: `between backticks`.
std::string code(std::string_view text);

/// Writes control characters as TOML does (\u001B), so that a name or value from a file cannot steer the terminal that
/// shows it. Takes UTF-8.
std::string printable(std::string_view text);

/// Fills `source_line` and `caret` from `line`, with credentials and the texts in `hidden` masked.
void show_line(diagnostic& x, std::string_view line, const std::vector<std::string>& hidden);

} // namespace modelforge
