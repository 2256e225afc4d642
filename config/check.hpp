#pragma once

#include "config/schema.hpp"

#include <modelforge/config/load.hpp>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// What a key's own type and range cannot say: how settings fit together, and what must not stand in them.

namespace modelforge {

/// Something wrong with settings, before it has a place in a file.
struct finding {
  severity level = severity::error;
  std::vector<std::string>
    paths; ///< Of the keys involved, e.g. "providers.main.retry.max_wait"; the first is to blame.
  std::string message;
  std::string hint;
};

/// Findings as the checks make them, in the order of the checks.
struct findings {
  std::vector<finding> list;

  void error(std::vector<std::string> paths, std::string message, std::string hint = "") {
    list.push_back({severity::error, std::move(paths), std::move(message), std::move(hint)});
  }

  void warn(std::vector<std::string> paths, std::string message, std::string hint = "") {
    list.push_back({severity::warning, std::move(paths), std::move(message), std::move(hint)});
  }
};

/// Judges settings as a whole. Values are taken to be within their ranges, and settings to be normal (`normalize`).
std::vector<finding> cross_check(const settings& all, const environment& env);

/// The part of it that concerns one provider alone.
void check_provider(const provider_settings& provider, const environment& env, findings& found);

/// Whether this program runs the provider itself; otherwise another node does.
bool is_ours(const provider_settings& provider, const node_settings& node);

/// Judges extra headers, which stand below `path`: they must not break the request's framing, repeat each other, or
/// carry a credential as plain text.
void check_headers(const std::vector<header_setting>& headers, const std::string& path, const environment& env,
                   findings& found);

/// Judges the name of a variable that should hold a credential.
bool check_variable(const std::string& name, const std::string& where, findings& found);

/// Whether any of a provider's or model's limits is set.
bool has_limit(const rate_limit_settings& limits);

/// Whether the use of this provider's limits is to be kept across restarts.
bool keeps_limits(const provider_settings& provider);

/// Brings settings to the form that the rest of the program relies on: an address of a provider or collector begins
/// with a scheme in small letters and ends in no slash, every key has a name.
void normalize(settings& all);

/// Judges a number against its key's range.
std::optional<finding> check_range(const std::string& path, const schema::key_rule& key, const schema::slot& value,
                                   double number);

/// What else a file is judged by, given its settings and its text. It runs when these could be read.
using file_check = std::function<std::vector<finding>(const settings& all, std::string_view text)>;

/// As the public `load_file`, with a check more, whose findings get their places in the file.
load_result load_file(const std::string& path, const environment& env, const file_check& more);

/// Likewise for `discover`; null: none.
load_result discover(const std::string& explicit_path, const environment& env, const file_check& more);

} // namespace modelforge
