#include "optimize/extra.hpp"

#include "json/value.hpp"

namespace modelforge::optimize {

bool has_extra(const chat_request& request, std::string_view name) {
  if (request.extra.empty())
    return false;
  auto parsed = json::parse(request.extra);
  auto* object = std::get_if<json::value>(&parsed);
  return object == nullptr || !object->is_object() || object->contains(name);
}

void add_extra(chat_request& request, std::string_view name, std::string_view value) {
  auto closing = request.extra.rfind('}');
  auto has_fields = closing != request.extra.npos && request.extra.find('"') < closing;
  auto field = (has_fields ? ",\"" : "\"") + std::string{name} + "\":" + std::string{value};
  if (closing == request.extra.npos)
    request.extra = "{" + field + "}";
  else
    request.extra.insert(closing, field);
}

} // namespace modelforge::optimize
