#pragma once

#include "wire/json.hpp"

#include <cstdint>
#include <optional>

/// Forms that say the same: what one server writes as a list, a number or a text, another writes otherwise.

namespace modelforge::wire {

/// Calls `f(reader)` for each element of an array, or once for an object that stands where one is usual; `f` may take
/// the value that comes.
template <class F>
void for_each_in(json::raw list, F&& f) {
  json::reader in{list};
  if (!in.elements([&] { f(in); }) && list.is_object())
    f(in);
}

/// Returns a whole number from 0 on, perhaps written as a string; nothing for all else.
inline std::optional<uint64_t> told_count(json::raw raw) {
  return count_in(raw.is_string() ? json::raw{raw.between_quotes()} : raw);
}

/// As above, of the tree.
inline std::optional<uint64_t> told_count(const json::value& value) {
  return value.is_string() ? count_in(json::raw{string_in(value)}) : count_in(value);
}

/// Returns the number of a place in a list: whole, perhaps negative, perhaps written as a string; nothing for all else.
inline std::optional<int64_t> place_in(json::raw raw) {
  auto number = raw.is_string() ? json::raw{raw.between_quotes()} : raw;
  if (int64_t place = 0; json::read_whole(number.text, place))
    return place;
  auto count = count_in(number);
  return count && *count <= INT64_MAX ? std::optional{static_cast<int64_t>(*count)} : std::nullopt;
}

} // namespace modelforge::wire
