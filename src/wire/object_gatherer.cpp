#include "wire/object_gatherer.hpp"

#include "base/ascii.hpp"

#include <algorithm>

namespace modelforge::wire {

namespace {

/// What may stand in front of an object, besides what `take_from_row` names.
std::string_view skip_between(std::string_view text) {
  constexpr std::string_view field = "data:";
  for (;;) {
    text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n,"), text.size()));
    if (!text.starts_with(field))
      return text;
    text.remove_prefix(field.size());
  }
}

} // namespace

bool begins_done(std::string_view text) {
  if (text.starts_with('{'))
    return false;
  return ascii::istarts_with(text, done_mark) || ascii::iequals(text, "DONE") || text == "\"[DONE]\"";
}

std::string_view take_from_row(std::string_view& text) {
  text = skip_between(text);
  if (begins_done(text)) {
    auto mark = text;
    text = {};
    return mark;
  }
  if (!text.starts_with('{') && !text.starts_with('['))
    return {};
  object_gatherer object;
  auto taken = object.take_part(text);
  if (object.is_open())
    return {};
  text = skip_between(text);
  return taken;
}

bool is_row(std::string_view text) {
  do
    if (take_from_row(text).empty())
      return false;
  while (!text.empty());
  return true;
}

} // namespace modelforge::wire
