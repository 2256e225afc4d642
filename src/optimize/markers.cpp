#include "optimize/markers.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::optimize {

namespace {

/// A marker in a text, with the line end that goes with it.
struct place {
  std::size_t begin = std::string_view::npos;
  std::size_t end = std::string_view::npos;
  bool is_static = false;

  explicit operator bool() const { return begin != std::string_view::npos; }
};

/// The length of the line end that `text` begins with.
std::size_t line_end(std::string_view text) {
  return text.starts_with("\r\n") ? 2 : text.starts_with('\n') ? 1 : 0;
}

/// A marker that stands on a line of its own takes the line with it.
place next_marker(std::string_view text, std::size_t start) {
  for (auto i = text.find("<<", start); i != text.npos; i = text.find("<<", i + 1)) {
    auto rest = text.substr(i);
    auto is_static = rest.starts_with(static_marker);
    if (!is_static && !rest.starts_with(dynamic_marker))
      continue;
    auto end = i + (is_static ? static_marker : dynamic_marker).size();
    if (i == 0 || text[i - 1] == '\n')
      end += line_end(text.substr(end));
    return {i, end, is_static};
  }
  return {};
}

template <class F>
void for_each_text(const chat_message& message, F&& f) {
  for (auto& part : message.content)
    if (auto* text = std::get_if<text_part>(&part))
      f(*text);
}

/// Takes the markers out of a text, those too that come to be when others go, as in "<<ST<<STATIC>>ATIC>>".
void take_out(std::string& text) {
  if (!next_marker(text, 0))
    return;
  std::string result;
  std::size_t start = 0;
  for (auto end = text.find('>'); end != text.npos; end = text.find('>', start)) {
    result.append(text, start, ++end - start);
    start = end;
    for (auto marker : {static_marker, dynamic_marker})
      if (result.ends_with(marker)) {
        result.resize(result.size() - marker.size());
        if (result.empty() || result.back() == '\n')
          start += line_end(std::string_view{text}.substr(start));
        break;
      }
  }
  text = result.append(text, start);
}

} // namespace

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n\f\v") == text.npos;
}

marking marking_of(const chat_message& message) {
  std::size_t statics = 0, dynamics = 0;
  auto in_order = true;
  for_each_text(message, [&](auto& part) {
    for (auto marker = next_marker(part.text, 0); marker; marker = next_marker(part.text, marker.end)) {
      in_order = in_order && !(marker.is_static && dynamics > 0);
      ++(marker.is_static ? statics : dynamics);
    }
  });
  if (statics + dynamics == 0)
    return marking::none;
  return statics <= 1 && dynamics <= 1 && in_order ? marking::good : marking::bad;
}

// What stands ahead of the static marker is put apart (`ahead`): it moves behind the static part, since whatever
// differs ends the common prefix. Without a marker everything is stable.
sections sections_of(const chat_message& message) {
  sections result;
  auto has_static = false;
  for_each_text(message,
                [&](auto& part) { has_static = has_static || part.text.find(static_marker) != part.text.npos; });
  auto* target = has_static ? &result.ahead : &result.stable;
  for (auto& part : message.content) {
    auto* text = std::get_if<text_part>(&part);
    auto marker = text != nullptr ? next_marker(text->text, 0) : place{};
    if (!marker) {
      target->push_back(part);
      continue;
    }
    std::size_t start = 0;
    auto put = [&](std::size_t end, bool is_last) {
      auto piece = text->text.substr(start, end - start);
      take_out(piece);
      if (!is_blank(piece))
        target->push_back(text_part{std::move(piece), is_last && text->cache});
    };
    for (; marker; marker = next_marker(text->text, start)) {
      put(marker.begin, false);
      target = marker.is_static ? &result.stable : &result.varying;
      start = marker.end;
    }
    put(text->text.size(), true);
  }
  return result;
}

// The last step of all: markers are ours and never sent. Messages in which they were misplaced are named.
std::vector<std::string> remove_markers(chat_request& request) {
  std::vector<std::string> warnings;
  for (std::size_t i = 0; i < request.messages.size(); ++i) {
    auto kind = marking_of(request.messages[i]);
    if (kind == marking::none)
      continue;
    if (kind == marking::bad)
      warnings.push_back("messages[" + std::to_string(i)
                         + "]: <<STATIC>> and <<DYNAMIC>> may appear once each, in "
                           "this order; they were taken out, and the text was left in its order");
    for (auto& part : request.messages[i].content)
      if (auto* text = std::get_if<text_part>(&part))
        take_out(text->text);
  }
  return warnings;
}

} // namespace modelforge::optimize
