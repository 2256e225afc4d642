#include "batch/item_defaults.hpp"

#include <algorithm>
#include <utility>
#include <variant>

namespace modelforge::batch {

namespace {

json::value object_in(const std::string& text) {
  auto parsed = json::parse(text);
  auto* object = std::get_if<json::value>(&parsed);
  return object != nullptr && object->is_object() ? std::move(*object) : json::value{};
}

} // namespace

item_defaults::item_defaults(std::string model, modelforge::sampling sampling, std::string extra)
  : model_(std::move(model)), sampling_(std::move(sampling)), extra_(std::move(extra)), fields_(object_in(extra_)) {}

// What an item says counts, field by field; in `extra` too, where both have objects.
void item_defaults::apply(chat_request& request) const {
  name_model(request);
  fill_in(request.sampling, sampling_);
  if (fields_.is_null())
    return;
  if (request.extra.empty()) {
    request.extra = extra_;
    return;
  }
  auto own = object_in(request.extra);
  if (own.is_null())
    return; // what is wrong with it is said by who sends it
  auto& members = own.get_ref<json::value::object_t&>();
  for (auto& [name, value] : fields_.get_ref<const json::value::object_t&>())
    if (std::none_of(members.begin(), members.end(), [&](auto& x) { return x.first == name; }))
      members.emplace_back(name, value);
  request.extra = json::to_text(own);
}

} // namespace modelforge::batch
