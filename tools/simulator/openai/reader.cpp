#include "tools/simulator/openai/reader.hpp"

#include <algorithm>

namespace modelforge::simulator::openai {

std::string in_quotes(std::string_view text) {
  return "'" + std::string(text) + "'";
}

std::string index_path(std::string_view name, std::size_t i) {
  return std::string(name) + "[" + std::to_string(i) + "]";
}

bool mentions_json(std::string_view text) {
  constexpr std::string_view word = "json";
  return std::search(text.begin(), text.end(), word.begin(), word.end(), [](char a, char b) { return (a | 0x20) == b; })
         != text.end();
}

void openai_reader::fail_missing(const std::string& param) {
  fail("Missing required parameter: " + in_quotes(param) + ".", param, "missing_required_parameter");
}

void openai_reader::fail_type(const std::string& param, std::string_view expected, const json& found) {
  fail("Invalid type for " + in_quotes(param) + ": expected " + std::string(expected) + ", but got " + type_of(found)
         + " instead.",
       param, "invalid_type");
}

void openai_reader::fail_value(std::string param, std::string_view found, std::string_view supported) {
  fail("Invalid value: " + in_quotes(found) + ". Supported values are: " + std::string(supported) + ".", param,
       "invalid_value");
}

void openai_reader::check_decimal(const char* name, double min, double max) {
  auto value = member(body_, name);
  if (!value)
    return;
  if (!value->is_number())
    return fail_type(name, "a decimal", *value);
  auto number = value->get<double>();
  if (number >= min && number <= max)
    return;
  auto limit = json(number < min ? min : max).dump();
  fail("Invalid " + in_quotes(name) + ": decimal " + (number < min ? "below minimum" : "above maximum")
         + " value. Expected a value " + (number < min ? ">= " : "<= ") + limit + ", but got " + value->dump()
         + " instead.",
       name, number < min ? "decimal_below_min_value" : "decimal_above_max_value");
}

std::optional<uint32_t> openai_reader::read_integer(const char* name, int64_t min, int64_t max) {
  auto value = member(body_, name);
  if (!value)
    return std::nullopt;
  if (!value->is_number_integer()) {
    fail_type(name, "an integer", *value);
    return std::nullopt;
  }
  auto is_huge = value->is_number_unsigned() && value->get<uint64_t>() > INT64_MAX;
  auto number = is_huge ? INT64_MAX : value->get<int64_t>();
  if (number >= min && number <= max)
    return static_cast<uint32_t>(number);
  fail("Invalid " + in_quotes(name) + ": integer " + (number < min ? "below minimum" : "above maximum")
         + " value. Expected a value " + (number < min ? ">= " : "<= ") + std::to_string(number < min ? min : max)
         + ", but got " + value->dump() + " instead.",
       name, number < min ? "integer_below_min_value" : "integer_above_max_value");
  return std::nullopt;
}

void openai_reader::read_cacheable() {
  constexpr uint32_t min_tokens = 1024;
  constexpr uint32_t lifetimes_a_day = 288; // of five minutes
  cache_steps(min_tokens);
  auto key = string_in(body_, "prompt_cache_key", "", false);
  auto retention = string_in(body_, "prompt_cache_retention", "", false);
  if (retention && *retention != "in_memory" && *retention != "24h")
    fail_value("prompt_cache_retention", *retention, "'in_memory' and '24h'");
  route_cacheable(key ? *key : "", retention && *retention == "24h" ? lifetimes_a_day : 1);
}

void openai_reader::read_model() {
  auto value = member(body_, "model");
  if (!value || *value == "")
    return fail("you must provide a model parameter", "model", "missing_required_parameter");
  auto model = string_in(body_, "model", "");
  if (!model)
    return;
  if (model->starts_with("missing"))
    return fail("The model `" + *model + "` does not exist or you do not have access to it.", "", "model_not_found",
                404);
  begin_with(*model);
}

void openai_reader::read_function(const json& function, const std::string& path) {
  if (!function.is_object())
    return fail_type(path, "an object", function);
  auto name = string_in(function, "name", path + ".");
  if (!name)
    return;
  auto parameters = member(function, "parameters");
  if (parameters && !parameters->is_object())
    return fail_type(path + ".parameters", "an object", *parameters);
  absorb_size(function);
  offer(*name, parameters);
}

void openai_reader::check_length(const char* param) {
  auto tokens = prompt_tokens();
  if (tokens > settings_.context_tokens)
    fail("This model's maximum context length is " + std::to_string(settings_.context_tokens)
           + " tokens. However, your messages resulted in " + std::to_string(tokens)
           + " tokens. Please reduce the length of the messages.",
         param, "context_length_exceeded");
}

} // namespace modelforge::simulator::openai
