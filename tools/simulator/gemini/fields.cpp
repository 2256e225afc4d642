#include "tools/simulator/gemini/fields.hpp"

#include <algorithm>

namespace modelforge::simulator::gemini {

namespace {

/// What a schema of Google's may have.
constexpr std::string_view schema_fields[] = {
  "type",     "format",    "title",      "description",     "nullable",      "enum",
  "maxItems", "minItems",  "properties", "required",        "minProperties", "pattern",
  "example",  "maxLength", "minLength",  "maxProperties",   "anyOf",         "default",
  "items",    "minimum",   "maximum",    "propertyOrdering"};
constexpr std::string_view schema_types[] = {"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"};

/// Turns snake_case into camelCase; leaves camelCase as it is.
std::string camel_case(std::string_view name) {
  std::string text;
  for (std::size_t i = 0; i < name.size(); ++i)
    if (name[i] == '_' && i + 1 < name.size())
      text += static_cast<char>(name[++i] >= 'a' && name[i] <= 'z' ? name[i] - 0x20 : name[i]);
    else
      text += name[i];
  return text;
}

/// Turns camelCase into snake_case.
std::string snake_case(std::string_view name) {
  std::string text;
  for (auto c : name)
    c >= 'A' && c <= 'Z' ? text.append({'_', static_cast<char>(c | 0x20)}) : text.append(1, c);
  return text;
}

/// Returns an error that names its field in the details, too.
api_error field_error(const std::string& path, std::string message) {
  return {400, std::move(message), path};
}

/// Reads a type in any case and writes it in lower case.
std::optional<api_error> read_type(const json& value, const std::string& path, json& result) {
  auto type = value.is_string() ? value.get<std::string>() : std::string();
  std::transform(type.begin(), type.end(), type.begin(), [](char c) { return c >= 'a' && c <= 'z' ? c - 0x20 : c; });
  if (std::find(std::begin(schema_types), std::end(schema_types), type) == std::end(schema_types))
    return field_error(path, "Invalid value at '" + path
                               + "' (type.googleapis.com/google.ai.generativelanguage.v1beta.Type), " + value.dump());
  std::transform(type.begin(), type.end(), type.begin(), [](char c) { return static_cast<char>(c | 0x20); });
  result = type;
  return std::nullopt;
}

} // namespace

std::string index_path(std::string_view name, std::size_t i) {
  return std::string(name) + "[" + std::to_string(i) + "]";
}

const json* field(const json& object, std::string_view name) {
  auto found = member(object, name);
  return found ? found : member(object, snake_case(name));
}

std::optional<api_error> unknown_field(const json& object, std::string_view path,
                                       std::span<const std::string_view> known) {
  for (const auto& [name, value] : object.items()) {
    if (std::find(known.begin(), known.end(), camel_case(name)) != known.end())
      continue;
    auto place = path.empty() ? std::string() : " at '" + std::string(path) + "'";
    return field_error(std::string(path),
                       "Invalid JSON payload received. Unknown name \"" + name + "\"" + place + ": Cannot find field.");
  }
  return std::nullopt;
}

api_error wrong_type(const std::string& path, std::string_view type, const json& found) {
  return field_error(path, "Invalid value at '" + path + "' (" + std::string(type) + "), "
                             + (found.is_structured() ? "Starting an object on a scalar field" : found.dump()));
}

// Members that hold schemas are turned one by one; all others are taken over as they are.
std::optional<api_error> read_schema(const json& schema, const std::string& path, json& result) {
  if (!schema.is_object())
    return wrong_type(path, "type.googleapis.com/google.ai.generativelanguage.v1beta.Schema", schema);
  if (auto error = unknown_field(schema, path, schema_fields))
    return error;
  result = json::object();
  for (const auto& [given, value] : schema.items()) {
    auto name = camel_case(given);
    auto here = path + "." + given;
    std::optional<api_error> error;
    auto read_list = [&](const json& list, json& target) {
      for (const auto& [key, each] : list.items())
        if (!error)
          error = read_schema(each, here + "[" + key + "]", list.is_array() ? target.emplace_back() : target[key]);
    };
    if (name == "type")
      error = read_type(value, here, result[name]);
    else if (name == "items")
      error = read_schema(value, here, result[name]);
    else if (name == "properties" || name == "anyOf")
      read_list(value, result[name]);
    else
      result[name] = value;
    if (error)
      return error;
  }
  return std::nullopt;
}

} // namespace modelforge::simulator::gemini
