#pragma once

#include "tools/simulator/body_reader.hpp"

#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>

/// Protocol buffers as JSON: names come as camelCase or as snake_case, and unknown ones are errors.
namespace modelforge::simulator::gemini {

/// Returns the member of that name, given as camelCase, in whichever form `object` has it; nullptr when it is missing.
const json* field(const json& object, std::string_view name);

/// Returns what is wrong if `object`, which lies at `path`, has a member that is not among `known`.
std::optional<api_error> unknown_field(const json& object, std::string_view path,
                                       std::span<const std::string_view> known);

/// Returns the error for a value of another type than that, for example "TYPE_STRING".
api_error wrong_type(const std::string& path, std::string_view type, const json& found);

/// Checks Google's own kind of schema and turns it into JSON Schema: its types are in capitals.
std::optional<api_error> read_schema(const json& schema, const std::string& path, json& result);

/// Returns "name[i]".
std::string index_path(std::string_view name, std::size_t i);

} // namespace modelforge::simulator::gemini
