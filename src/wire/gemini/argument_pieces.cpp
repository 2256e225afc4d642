#include "wire/gemini/argument_pieces.hpp"

#include "base/ascii.hpp"
#include "wire/forms.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>
#include <variant>

namespace modelforge::wire::gemini {

namespace {

constexpr std::size_t max_bytes = 1 << 20;
constexpr std::size_t max_steps = 100;   ///< Of a path.
constexpr std::size_t max_index = 9'999; ///< Of a list; each may lie one behind its end.

using step = std::variant<std::string, std::size_t>;

/// Takes a name in quotes, of either kind, with what stands behind backslashes.
std::optional<std::string> take_quoted(std::string_view& path) {
  auto quote = path.front();
  std::string name;
  for (path.remove_prefix(1); !path.empty() && path.front() != quote; path.remove_prefix(1)) {
    if (path.front() == '\\') {
      path.remove_prefix(1);
      if (path.empty() || (path.front() != '\\' && path.front() != '\'' && path.front() != '"'))
        return {};
    }
    name += path.front();
  }
  if (!path.starts_with(quote))
    return {};
  path.remove_prefix(1);
  return name;
}

/// Takes what stands between brackets, with the closing one.
std::optional<step> take_bracket(std::string_view& path) {
  std::optional<step> result;
  if (path.starts_with('\'') || path.starts_with('"')) {
    auto name = take_quoted(path);
    if (!name)
      return {};
    result = std::move(*name);
  } else {
    std::size_t index = 0;
    auto [end, error] = std::from_chars(path.data(), path.data() + path.size(), index);
    if (error != std::errc{} || index > max_index)
      return {};
    path.remove_prefix(static_cast<std::size_t>(end - path.data()));
    result = index;
  }
  if (!path.starts_with(']'))
    return {};
  path.remove_prefix(1);
  return result;
}

/// Takes the next step of a path: `.name`, `['name']` or `[0]`.
std::optional<step> take_step(std::string_view& path) {
  auto c = path.front();
  path.remove_prefix(1);
  if (c == '[')
    return take_bracket(path);
  auto end = std::min(path.find_first_of(".["), path.size());
  if (c != '.' || end == 0)
    return {};
  auto name = std::string{path.substr(0, end)};
  path.remove_prefix(end);
  return name;
}

/// The place behind one step; null where the value is no object, or no list, or the list has no such place.
json::value* go(json::value& from, const step& by) {
  if (auto* name = std::get_if<std::string>(&by)) {
    if (from.is_null())
      from = json::value::object();
    return from.is_object() ? &from[*name] : nullptr;
  }
  auto index = std::get<std::size_t>(by);
  if (from.is_null())
    from = json::value::array();
  if (!from.is_array() || index > from.size())
    return nullptr;
  if (index == from.size())
    from.push_back(nullptr);
  return &from[index];
}

json::value* go_along(json::value& root, std::string_view path) {
  if (!path.starts_with('$'))
    return nullptr;
  path.remove_prefix(1);
  auto* here = &root;
  for (std::size_t steps = 0; !path.empty(); ++steps) {
    auto next = steps < max_steps ? take_step(path) : std::nullopt;
    here = next ? go(*here, *next) : nullptr;
    if (here == nullptr)
      return nullptr;
  }
  return here;
}

} // namespace

std::string argument_pieces::add(json::raw list) {
  std::string problem;
  for_each_in(list, [&](json::reader& in) {
    json::raw path, value;
    auto take = [&](std::string_view name) {
      if (name == "jsonPath" || name == "json_path")
        path = in.value();
      else if (name.ends_with("Value") || name.ends_with("_value"))
        value = in.value();
    };
    std::string scratch;
    auto is_piece = in.members(take);
    if (problem.empty())
      problem = is_piece ? add_piece(std::string{string_in(path, scratch)}, value) : "a piece that is no object";
  });
  return problem;
}

std::string argument_pieces::text() {
  end_half();
  return is_empty() ? "{}" : to_text(root_);
}

// Numbers and the like come whole; texts in any number of pieces.
std::string argument_pieces::add_piece(const std::string& path, json::raw value) {
  bytes_ += path.size() + value.text.size();
  if (bytes_ > max_bytes)
    return "more than " + std::to_string(max_bytes) + " bytes";
  if (root_.is_null())
    root_ = json::value::object();
  if (path != half_path_)
    end_half();
  auto* place = go_along(root_, path);
  if (place == nullptr || place == &root_)
    return "the path " + path;
  if (value.is_string() && value.text != R"("NULL_VALUE")")
    return add_text(*place, path, value);
  auto parsed = json::parse(value.text.empty() || value.is_string() ? "null" : value.text);
  auto* more = std::get_if<json::value>(&parsed);
  if (more == nullptr)
    return "the value at the path " + path;
  if (place->is_null())
    *place = std::move(*more);
  else if (!more->is_null() && *place != *more)
    return "two values at the path " + path;
  return {};
}

std::string argument_pieces::add_text(json::value& place, const std::string& path, json::raw value) {
  if (place.is_null())
    place = "";
  if (!place.is_string())
    return "two values at the path " + path;
  half_path_ = path;
  std::string scratch;
  place.get_ref<std::string&>() += string_in(value, scratch, half_);
  return {};
}

/// Half a character whose other half did not come.
void argument_pieces::end_half() {
  if (half_ != 0)
    go_along(root_, half_path_)->get_ref<std::string&>() += utf8::replacement;
  half_ = 0;
}

} // namespace modelforge::wire::gemini
