#include "wire/extra_field.hpp"

#include "base/ascii.hpp"
#include "json/value.hpp"
#include "json/writer.hpp"

namespace modelforge::wire {

std::variant<extra_field, std::string> read_extra_field(std::string_view text) {
  auto name_end = text.find('=');
  auto name = text.substr(0, name_end);
  auto good = !name.empty() && name_end != text.npos
              && ascii::all(name, [](char c) { return ascii::is_alnum(c) || c == '_' || c == '-' || c == '.'; });
  if (!good)
    return "\"" + std::string{text} + "\" is not NAME=VALUE, e.g. top_k=40";
  auto value = text.substr(name_end + 1);
  auto parsed = json::parse(value);
  if (auto* good_value = std::get_if<json::value>(&parsed))
    return extra_field{std::string{name}, json::to_text(*good_value)};
  std::string quoted;
  json::writer{quoted}.repaired(value);
  return extra_field{std::string{name}, std::move(quoted)};
}

} // namespace modelforge::wire
