#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>

/// Names of enum values, once: for logs, TOML, JSON and CAF's inspection.

///
/// Enums of ours are one byte, count from 0 without gaps, and have a list of names beside them. Whoever adds a value
/// adds a name, at the end; the list's order is the values' order. Names are part of files and of the command line:
/// renaming one breaks them.

namespace modelforge {

/// The names of E's values, in order from 0. Specialised beside each enum.
template <class E>
inline constexpr std::array<std::string_view, 0> enum_names{};

/// An enum of ours that has names: values are 0, 1, 2, ... without gaps.
template <class E>
concept named_enum = std::is_enum_v<E> &&(enum_names<E>.size() > 0);

/// Returns the value's name, or "unknown" for a value that has none.
template <named_enum E>
constexpr std::string_view name_of(E x) {
  auto i = static_cast<std::size_t>(x);
  return i < enum_names<E>.size() ? enum_names<E>[i] : std::string_view{"unknown"};
}

/// The same as a text, for messages and logs.
template <named_enum E>
std::string to_string(E x) {
  return std::string{name_of(x)};
}

/// Sets `x` to the value of that name. Returns false, and leaves `x` alone, if there is none.
template <named_enum E>
constexpr bool from_string(std::string_view name, E& x) {
  for (std::size_t i = 0; i < enum_names<E>.size(); ++i)
    if (enum_names<E>[i] == name) {
      x = static_cast<E>(i);
      return true;
    }
  return false;
}

/// Sets `x` to the value of that number. Returns false, and leaves `x` alone, if no value has it: bytes from outside
/// must never become a value that no `switch` knows.
template <named_enum E>
constexpr bool from_integer(std::underlying_type_t<E> value, E& x) {
  if (value >= enum_names<E>.size())
    return false;
  x = static_cast<E>(value);
  return true;
}

/// CAF's hook: names for readers, one byte for machines. A number without a name fails to load.
template <class Inspector, named_enum E>
bool inspect(Inspector& f, E& x) {
  if (f.has_human_readable_format()) {
    auto get = [&x] { return to_string(x); };
    auto set = [&x](const std::string& name) { return from_string(name, x); };
    return f.apply(get, set);
  }
  using number = std::underlying_type_t<E>;
  auto get = [&x] { return static_cast<number>(x); };
  auto set = [&x](number value) { return from_integer(value, x); };
  return f.apply(get, set);
}

} // namespace modelforge
