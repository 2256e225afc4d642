#include "log/events.hpp"

namespace modelforge::log {

std::string events_markdown() {
  std::string result = "| event | level | component | message | fields |\n|---|---|---|---|---|\n";
  for (auto& rule : rules) {
    std::string fields;
    for (auto each : rule.fields)
      if (each != field::none)
        ((fields += fields.empty() ? "`" : ", `") += name_of(each)) += '`';
    ((result += "| `") += rule.name) += "` | ";
    ((result += name_of(rule.level)) += " | ") += rule.component;
    ((result += " | ") += rule.message) += " | ";
    (result += fields) += " |\n";
  }
  return result;
}

} // namespace modelforge::log
