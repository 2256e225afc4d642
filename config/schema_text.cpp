#include "base/ascii.hpp"
#include "config/schema.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <concepts>
#include <cstdio>

/// What the schema says to people: ranges, suggestions, and TOML's way to write names and texts.

namespace modelforge::schema {

namespace {

// -- suggestions ----------------------------------------------------------------

/// Damerau-Levenshtein distance (optimal string alignment): insert, delete, replace, swap neighbours.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j)
    last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

std::string_view closest_key(const table_rule& table, std::string_view name) {
  std::vector<std::string_view> names;
  for (const auto& key : table.keys)
    names.push_back(key.name);
  return closest(name, names);
}

std::string number(double value) {
  std::array<char, 32> text{};
  auto end = std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed).ptr;
  return {text.data(), end};
}

std::string range(const key_rule& key) {
  return key.max < std::numeric_limits<double>::infinity() ? " from " + number(key.min) + " to " + number(key.max) : "";
}

std::string choices(std::span<const std::string_view> names) {
  std::string result = "one of";
  for (auto name : names)
    result += (name == names.front() ? " `" : ", `") + std::string{name} + '`';
  return result;
}

struct describe {
  const key_rule& key;

  std::string operator()(bool*) const { return "true or false"; }
  std::string operator()(double*) const { return "a number" + range(key); }
  std::string operator()(duration*) const { return "seconds" + range(key); }
  std::string operator()(std::string*) const { return "a string"; }
  std::string operator()(const short_key_slot&) const { return "a string"; }
  std::string operator()(std::vector<std::string>*) const { return "an array of strings"; }
  std::string operator()(const enum_slot& choice) const { return choices(choice.names); }
  std::string operator()(std::vector<key_source>*) const { return "an array of tables"; }
  std::string operator()(std::optional<uint64_t>*) const { return "an integer" + range(key); }
  std::string operator()(std::optional<int64_t>*) const { return "an integer" + range(key); }
  std::string operator()(std::optional<double>*) const { return "a number" + range(key); }
  template <std::integral T>
  std::string operator()(T*) const {
    return "an integer" + range(key);
  }
  template <class T>
  std::string operator()(const T&) const {
    return "a table";
  }
};

} // namespace

std::string allowed(const key_rule& key, const slot& value) {
  return std::visit(describe{key}, value);
}

// At most two slips, and fewer in short names: everything is two letters away from a name of three.
std::string_view closest(std::string_view name, std::span<const std::string_view> candidates) {
  if (name.size() > 64)
    return {};
  std::string_view best;
  auto min_distance =
    std::min<std::size_t>(2, name.size() / 3) + 1; // in a short name two changes make anything of anything
  for (auto candidate : candidates)
    if (auto d = distance(name, candidate); d < min_distance) {
      best = candidate;
      min_distance = d;
    }
  return best;
}

// In this order: a slip in this table, a right name in the wrong table, a slip in another table.
std::string suggest(const table_rule& table, std::string_view name) {
  if (name == "env" || name == "file") // as for headers; too far from the right name to be found as a slip
    if (auto* key = find(table, "api_key_" + std::string{name}))
      name = key->name;
  if (auto best = closest_key(table, name); !best.empty())
    return "did you mean `" + std::string{best} + "`?";
  for (const auto* other : tables())
    if (other != &table && find(*other, name))
      return other == &root() ? "`" + std::string{name} + "` belongs at the top of the file"
                              : "`" + std::string{name} + "` belongs in [" + std::string{other->path} + ']';
  for (const auto* other : tables())
    if (auto best = closest_key(*other, name); other != &table && !best.empty())
      return "did you mean `" + std::string{best} + "` in [" + std::string{other->path} + "]?";
  return {};
}

std::string quoted_key(std::string_view name) {
  auto bare = [](char c) { return ascii::is_letter(c) || ascii::is_digit(c) || c == '_' || c == '-'; };
  return !name.empty() && ascii::all(name, bare) ? std::string{name} : quoted(name);
}

// TOML's basic strings need escapes for quotes, backslashes and control characters; UTF-8 may stand as it is.
std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (unsigned char c : text)
    if (c == '"' || c == '\\') {
      result += '\\';
      result += static_cast<char>(c);
    } else if (c < 0x20 || c == 0x7f) {
      std::array<char, 8> escape{};
      std::snprintf(escape.data(), escape.size(), "\\u%04X", c);
      result += escape.data();
    } else {
      result += static_cast<char>(c);
    }
  return result + '"';
}

} // namespace modelforge::schema
