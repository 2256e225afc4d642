#pragma once

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

/// Reading JSON that others wrote into a tree, without exceptions and within bounds.

namespace modelforge::json {

/// Keeps the members of objects in their order: models fill a schema's properties in the order they are given.
using value = nlohmann::ordered_json;

/// Deeper nesting is refused: no honest answer or schema comes near, and what dumps it recurses.
inline constexpr std::size_t max_depth = 200;

/// More values in one document are refused: each takes up to 48 bytes here and as little as 2 on the wire.
inline constexpr std::size_t max_values = 2'000'000;

/// Reads one document (white space around it is fine), or says what is wrong with it and at which byte. Names that
/// repeat are all kept: read objects with `member`. Half a surrogate pair reads as U+FFFD, and a number that is too
/// large for a double as the largest one.
std::variant<value, std::string> parse(std::string_view text);

/// Returns the member of that name (the last one, if it repeats), or null where there is none or `node` is no object.
const value& member(const value& node, std::string_view name);

/// Returns the text of a string, nothing for all else.
std::string_view string_in(const value& value);

/// Returns a whole number from 0 to 2^64 - 1 (as a float: to 2^53), nothing for all else.
std::optional<uint64_t> count_in(const value& value);

/// Returns `node` as JSON text on one line; what is not UTF-8 in it becomes U+FFFD.
std::string to_text(const value& node);

} // namespace modelforge::json
