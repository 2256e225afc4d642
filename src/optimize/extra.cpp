#include "optimize/extra.hpp"

#include "wire/json.hpp"

namespace modelforge::optimize {

bool has_extra(const chat_request& x, std::string_view name) {
  if (x.extra.empty())
    return false;
  auto parsed = wire::parse_json(x.extra);
  auto* object = std::get_if<wire::json>(&parsed);
  return object == nullptr || !object->is_object() || object->contains(name);
}

void add_extra(chat_request& x, std::string_view name, std::string_view value) {
  auto closing = x.extra.rfind('}');
  auto has_fields = closing != x.extra.npos && x.extra.find('"') < closing;
  auto field = (has_fields ? ",\"" : "\"") + std::string{name} + "\":" + std::string{value};
  if (closing == x.extra.npos)
    x.extra = "{" + field + "}";
  else
    x.extra.insert(closing, field);
}

} // namespace modelforge::optimize
