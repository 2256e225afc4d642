#include "tools/simulator/gemini/field_reader.hpp"

namespace modelforge::simulator::gemini {

void field_reader::fail(std::optional<api_error> error) {
  if (error)
    fail(std::move(*error));
}

void field_reader::fail_type(const std::string& path, std::string_view expected, const json& found) {
  fail(wrong_type(path, expected == "a boolean" ? "TYPE_BOOL" : "TYPE_STRING", found));
}

const json* field_reader::number_in(const json& object, std::string_view name, const std::string& path) {
  auto value = field(object, name);
  if (value && !value->is_number())
    fail(wrong_type(path + std::string(name), "TYPE_FLOAT", *value));
  return value && value->is_number() ? value : nullptr;
}

std::optional<int64_t> field_reader::integer_in(const json& object, std::string_view name, const std::string& path,
                                                int64_t min, int64_t max) {
  auto value = field(object, name);
  if (!value)
    return std::nullopt;
  auto is_huge = value->is_number_unsigned() && value->get<uint64_t>() > INT32_MAX;
  if (!value->is_number_integer() || is_huge) {
    fail(wrong_type(path + std::string(name), "TYPE_INT32", *value));
    return std::nullopt;
  }
  auto number = value->get<int64_t>();
  if (number < min || number > max) {
    fail("* GenerateContentRequest." + path + std::string(name) + ": " + std::to_string(number)
         + " is not in the range [" + std::to_string(min) + ", " + std::to_string(max) + "].");
    return std::nullopt;
  }
  return number;
}

const json* field_reader::object_in(const json& object, std::string_view name, const std::string& path) {
  auto value = field(object, name);
  if (value && !value->is_object())
    fail(wrong_type(path + std::string(name), "message", *value));
  return value && value->is_object() ? value : nullptr;
}

const json* field_reader::array_in(const json& object, std::string_view name, const std::string& path) {
  auto value = field(object, name);
  if (value && !value->is_array())
    fail(wrong_type(path + std::string(name), "a list", *value));
  return value && value->is_array() ? value : nullptr;
}

const std::string* field_reader::string_in_either(const json& object, std::string_view name, const std::string& path) {
  auto value = field(object, name);
  if (value && !value->is_string())
    fail(wrong_type(path + std::string(name), "TYPE_STRING", *value));
  return value && value->is_string() ? &value->get_ref<const std::string&>() : nullptr;
}

} // namespace modelforge::simulator::gemini
