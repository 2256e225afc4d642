#pragma once

#include "config/source_text.hpp"

#include <toml.hpp>

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// TOML as a tree; the only header that knows toml11.

namespace modelforge {

/// Keeps the file's order, and reads numbers the same in every locale.
struct toml_types : toml::ordered_type_config {
  static toml::result<integer_type, toml::error_info> parse_int(const std::string& text,
                                                                const toml::source_location where, std::uint8_t base) {
    return parse_number<integer_type>(text, where, base);
  }

  static toml::result<floating_type, toml::error_info> parse_float(const std::string& text,
                                                                   const toml::source_location where, bool hex) {
    return parse_number<floating_type>(text, where, hex ? std::chars_format::hex : std::chars_format::general);
  }

private:
  template <class T, class Format>
  static toml::result<T, toml::error_info> parse_number(std::string_view text, const toml::source_location& where,
                                                        Format format) {
    if (text.starts_with('+'))
      text.remove_prefix(1);
    T value{};
    auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value, format);
    if (failed != std::errc{} || end != text.data() + text.size())
      return toml::err(toml::make_error_info("the number is too large", where, ""));
    return toml::ok(value);
  }
};

using toml_value = toml::basic_value<toml_types>;

/// What became of a text: the root table where there is one, and what was wrong. Both may be there: the root is then
/// that of the text without its broken lines.
struct parsed_toml {
  std::optional<toml_value> root;
  std::vector<problem> errors;
};

/// Parses, and where the syntax is broken parses again without the broken lines, so that one report has all errors.
/// Stops where a line cannot be left out without changing what the others mean. `name` stands for the file.
parsed_toml parse_toml(const source_text& source, const std::string& name);

/// What kind of value it is, for people: "a string".
std::string kind_of(const toml_value& value);

place place_of(const toml_value& value);

/// Where a key's name is, which the parser does not keep: in a table's header, or on the left of the value.
place place_of_key(const source_text& source, const std::string& key, const toml_value& value);

} // namespace modelforge
