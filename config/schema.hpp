#pragma once

#include <modelforge/config/settings.hpp>

#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// The one list of all keys. Loading, range checks, suggestions and printing all go by it: a key that is added here is
/// known everywhere (and the tests ask for it in config/example.toml).

namespace modelforge::schema {

struct table_rule;

/// A value of some enum with names.
struct enum_slot {
  std::span<const std::string_view> names;
  unsigned char* value;
};

/// A table inside a table, with the struct it fills.
struct table_slot {
  const table_rule* rule;
  void* object;
};

/// The short form of a provider's only key: `api_key_env` or `api_key_file` right under the provider.
struct short_key_slot {
  std::vector<key_source>* keys;
  std::string key_source::*source;
};

/// Where a key's value goes.
using slot =
  std::variant<bool*, uint32_t*, uint64_t*, int64_t*, double*, duration*, std::string*, std::optional<uint64_t>*,
               std::optional<int64_t>*, std::optional<double>*, std::vector<std::string>*, enum_slot, table_slot,
               short_key_slot, std::vector<provider_settings>*, std::vector<key_source>*, std::vector<header_setting>*,
               std::vector<model_settings>*>;

struct key_rule {
  std::string_view name;
  slot (*slot_of)(void* object);                         ///< The member of the struct that the key's table fills.
  std::string_view doc;                                  ///< One sentence; stands in config/example.toml too.
  double min = -std::numeric_limits<double>::infinity(); ///< Of a number; of a duration in seconds.
  double max = std::numeric_limits<double>::infinity();
  std::string_view unit{}; ///< Of a number that is not a plain count; durations are in seconds anyway.
};

struct table_rule {
  std::string_view path; ///< As in TOML, with capitals for names that the user gives: "providers.NAME.retry".
  std::span<const key_rule> keys;
};

/// The whole file; all other tables hang below it.
const table_rule& root();

/// What a provider, an entry of its `keys`, and an entry of its `models` hold.
const table_rule& provider();
const table_rule& key_entry();
const table_rule& model();

/// All tables that have keys of their own, in the order of the file.
std::span<const table_rule* const> tables();

const key_rule* find(const table_rule& table, std::string_view name);

/// What may stand there, for people: "an integer from 1 to 100", "one of `fail`, `wait`".
std::string allowed(const key_rule& key, const slot& value);

/// The value as TOML; nothing for tables, for what is not set, and for the short form of a key.
std::optional<std::string> toml_text(const slot& value);

/// For a name that `table` does not know: "did you mean `max_attempts`?", "belongs in [providers.NAME.retry]", or "".
std::string suggest(const table_rule& table, std::string_view name);

/// The candidate that `name` was most likely meant to be, or "".
std::string_view closest(std::string_view name, std::span<const std::string_view> candidates);

/// Calls back for every plain value (no tables), with its full path.
using visitor = std::function<void(const std::string& path, const key_rule& key, const slot& value)>;
void for_each_value(settings& all, const visitor& visit);

/// Quotes what TOML does not take as a bare key.
std::string quoted_key(std::string_view name);

/// A basic string of TOML.
std::string quoted(std::string_view text);

} // namespace modelforge::schema
