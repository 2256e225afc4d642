#include "log/entry.hpp"

#include <algorithm>

namespace modelforge::log {

std::string entry::subject() const {
  std::string result;
  auto& by = rule();
  for (std::size_t i = 0; i < by.subject; ++i) {
    auto found = std::find_if(fields_.begin(), fields_.end(), [&](auto& x) { return x.name == name_of(by.fields[i]); });
    auto* text = found != fields_.end() ? std::get_if<std::string>(&found->value) : nullptr;
    result += '\n';
    if (text != nullptr)
      result += *text;
  }
  return result;
}

std::size_t entry::bytes() const {
  auto result = sizeof(entry) + fields_.capacity() * sizeof(log_field);
  for (auto& field : fields_)
    if (auto* text = std::get_if<std::string>(&field.value))
      result += text->capacity();
  return result;
}

} // namespace modelforge::log
