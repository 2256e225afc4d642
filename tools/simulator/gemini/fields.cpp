#include "tools/simulator/gemini/fields.hpp"

#include <algorithm>

namespace modelforge::simulator::gemini {

namespace {

constexpr std::string_view schema_fields[] = {
  "type",     "format",    "title",      "description",     "nullable",      "enum",
  "maxItems", "minItems",  "properties", "required",        "minProperties", "pattern",
  "example",  "maxLength", "minLength",  "maxProperties",   "anyOf",         "default",
  "items",    "minimum",   "maximum",    "propertyOrdering"};
constexpr std::string_view schema_types[] = {"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"};

std::string camel_case(std::string_view name) {
  std::string text;
  for (std::size_t i = 0; i < name.size(); ++i)
    if (name[i] == '_' && i + 1 < name.size())
      text += static_cast<char>(name[++i] >= 'a' && name[i] <= 'z' ? name[i] - 0x20 : name[i]);
    else
      text += name[i];
  return text;
}

std::string snake_case(std::string_view name) {
  std::string text;
  for (auto c : name)
    c >= 'A' && c <= 'Z' ? text.append({'_', static_cast<char>(c | 0x20)}) : text.append(1, c);
  return text;
}

api_error field_error(const std::string& path, std::string message) {
  return {400, std::move(message), path};
}

std::optional<api_error> read_type(const json& x, const std::string& path, json& result) {
  auto type = x.is_string() ? x.get<std::string>() : std::string();
  std::transform(type.begin(), type.end(), type.begin(), [](char c) { return c >= 'a' && c <= 'z' ? c - 0x20 : c; });
  if (std::find(std::begin(schema_types), std::end(schema_types), type) == std::end(schema_types))
    return field_error(path, "Invalid value at '" + path
                               + "' (type.googleapis.com/google.ai.generativelanguage.v1beta.Type), " + x.dump());
  std::transform(type.begin(), type.end(), type.begin(), [](char c) { return static_cast<char>(c | 0x20); });
  result = type;
  return std::nullopt;
}

} // namespace

std::string at(std::string_view name, std::size_t i) {
  return std::string(name) + "[" + std::to_string(i) + "]";
}

const json* field(const json& x, std::string_view name) {
  auto found = member(x, name);
  return found ? found : member(x, snake_case(name));
}

std::optional<api_error> unknown_field(const json& x, std::string_view path, std::span<const std::string_view> known) {
  for (const auto& [name, value] : x.items()) {
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

std::optional<api_error> read_schema(const json& x, const std::string& path, json& result) {
  if (!x.is_object())
    return wrong_type(path, "type.googleapis.com/google.ai.generativelanguage.v1beta.Schema", x);
  if (auto error = unknown_field(x, path, schema_fields))
    return error;
  result = json::object();
  for (const auto& [given, value] : x.items()) {
    auto name = camel_case(given);
    auto here = path + "." + given;
    std::optional<api_error> error;
    auto read_list = [&](const json& list, json& to) {
      for (const auto& [key, each] : list.items())
        if (!error)
          error = read_schema(each, here + "[" + key + "]", list.is_array() ? to.emplace_back() : to[key]);
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
