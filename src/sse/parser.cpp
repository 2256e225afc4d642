#include "sse/parser.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace modelforge::sse {

namespace {

const char* find(const char* first, const char* last, char c) {
  auto* found = first == last ? nullptr : std::memchr(first, c, static_cast<std::size_t>(last - first));
  return found == nullptr ? last : static_cast<const char*>(found);
}

/// Empties a string; one that has grown gives its memory back, since thousands of parsers wait at once.
void empty(std::string& text) {
  constexpr std::size_t kept = 512;
  if (text.capacity() > kept)
    text = {};
  else
    text.clear();
}

void keep_text(std::string& kept, std::string_view text) {
  if (text.empty())
    kept.clear();
  else if (text.data() != kept.data())
    kept.assign(text);
}

} // namespace

std::string parser::problem() const {
  if (state_ != state::too_large)
    return {};
  return "a line or an event of more than " + std::to_string(limit_) + " bytes";
}

// The event is put together as views: of the fed bytes where it lies in them, of the strings where it is continued.
// Only when the bytes end before the event does, they are copied (`keep`).
bool parser::next(event& out, line_ends& ends) {
  if (open_.is_done)
    forget();
  out = {open_.type, open_.data, open_.id};
  if (take_usual(out, ends))
    return true;
  for (std::string_view line; take_line(line, ends);) {
    if (line.empty()) {
      if (open_.has_data) {
        hand_out(out, false);
        return true;
      }
      open_.keeps_name = false;
      forget();
      out = {};
      continue;
    }
    if (open_.has_data && is_whole_ != nullptr && ends_event(line, out)) {
      lines_are_events_ = true;
      again_ = line;
      hand_out(out, line.starts_with('d'));
      return true;
    }
    if (!take_field(line, out))
      return false;
    if (lines_are_events_ && open_.has_data && is_whole_(out.data)) {
      hand_out(out, true);
      return true;
    }
  }
  if (stops_ && open_.has_data && is_whole_(out.data)) {
    stops_ = false; // until it is asked for more
    hand_out(out, false);
    return true;
  }
  if (state_ == state::open)
    keep(out);
  return false;
}

/// Finds a line's end in what is left of the fed bytes. `found` remembers it for the next call, or input without such
/// ends would be searched again and again.
inline const char* parser::find_once(const char*& found, char end) const {
  if (found == nullptr || found < rest_.data())
    found = find(rest_.data(), rest_.data() + rest_.size(), end);
  return found;
}

/// Steps over the second byte of a CRLF.
inline void parser::skip_line_feed() {
  if (!after_cr_ || rest_.empty())
    return;
  after_cr_ = false;
  if (rest_.front() == '\n')
    rest_.remove_prefix(1);
}

// Nearly all events of all providers are such, and reading lines one by one costs four times as much.
bool parser::take_usual(event& out, line_ends& ends) {
  auto is_begun = open_.has_data || open_.keeps_name || !open_.type.empty() || !open_.id.empty();
  if (is_begun || !again_.empty() || (!line_.empty() && !line_is_read_))
    return false;
  skip_line_feed();
  constexpr std::string_view name = "event: ", data = "data: ";
  auto* last = rest_.data() + rest_.size();
  auto* end = find_once(ends.line_feed, '\n');
  std::string_view line{rest_.data(), end}, type;
  if (line.starts_with(name) && end != last) {
    type = line.substr(name.size());
    auto* first = end + 1;
    end = find(first, last, '\n');
    line = {first, end};
  }
  auto has_cr = type.empty() && line.ends_with('\r') && end != last;
  auto blank = std::string_view{has_cr ? "\r\n" : "\n"};
  auto is_alone = find_once(ends.carriage_return, '\r') >= (has_cr ? end - 1 : end);
  if (!is_alone || !line.starts_with(data) || end == last || !std::string_view{end + 1, last}.starts_with(blank)
      || std::max(line.size(), type.size() + name.size()) > limit_)
    return false;
  line.remove_suffix(has_cr);
  out.type = type;
  out.data = line.substr(data.size());
  rest_.remove_prefix(static_cast<std::size_t>(end + 1 - rest_.data()) + blank.size());
  at_start_ = false;
  return true;
}

/// Whether a line begins another event than the one whose data has come.
bool parser::ends_event(std::string_view line, const event& out) const {
  auto name = line.substr(0, line.find(':'));
  return (name == "data" || name == "event" || name == "error") && is_whole_(out.data);
}

/// `is_named`: what follows without a blank line has the same name.
void parser::hand_out(const event& out, bool is_named) {
  if (is_named)
    keep_text(open_.type, out.type);
  open_.keeps_name = is_named;
  open_.is_done = true;
}

/// Whether a line begins here that is a value of JSON by itself.
bool parser::begins_value() const {
  return is_whole_ != nullptr && !rest_.empty() && (rest_.front() == '{' || rest_.front() == '[')
         && (line_.empty() || line_is_read_);
}

/// Takes a line from the fed bytes, without its end.
bool parser::take_line(std::string_view& line, line_ends& ends) {
  if (!again_.empty()) {
    line = std::exchange(again_, {});
    return true;
  }
  skip_line_feed();
  if (begins_value()) {
    stops_ = true;
    return false;
  }
  auto* first = rest_.data();
  auto* last = first + rest_.size();
  auto* end = std::min(find_once(ends.line_feed, '\n'), find_once(ends.carriage_return, '\r'));
  line = {first, static_cast<std::size_t>(end - first)};
  auto held = line_is_read_ ? 0 : line_.size();
  if (held + line.size() > limit_) {
    state_ = state::too_large;
    return false;
  }
  if (end == last)
    return false;
  after_cr_ = *end == '\r';
  rest_.remove_prefix(line.size() + 1);
  if (held > 0) {
    line_.append(line);
    line = line_;
    line_is_read_ = true;
  }
  if (at_start_ && line.starts_with("\xEF\xBB\xBF"))
    line.remove_prefix(3);
  at_start_ = false;
  return true;
}

// Fields that the format does not know are ignored, as it demands, unless they shall not be; so is `retry`, which says
// nothing to us.
bool parser::take_field(std::string_view line, event& out) {
  auto colon = line.find(':');
  auto name = line.substr(0, colon);
  auto value = colon == line.npos ? std::string_view{} : line.substr(colon + 1);
  if (value.starts_with(' '))
    value.remove_prefix(1);
  if (name == "data")
    return set_data(value, out);
  if (name == "error" && is_whole_ != nullptr && !value.empty() && value != "null") {
    out.type = name;
    return set_data(value, out);
  }
  if (name == "event")
    out.type = value;
  else if (name == "id")
    out.id = value;
  else if (is_whole_ != nullptr && line.front() == ' ')
    return line.find_first_not_of(' ') == line.npos || take_field(line.substr(line.find_first_not_of(' ')), out);
  else if (!name.empty() && name != "retry")
    take_foreign(line);
  return state_ == state::open;
}

void parser::take_foreign(std::string_view line) {
  constexpr std::size_t shown = 200;
  auto is_page = line.front() == '<' && !line.starts_with("<!--");
  auto tells = is_page || line.find('{') != line.npos || line.find("rror") != line.npos;
  if (is_whole_ != nullptr && foreign_ == nullptr && tells)
    foreign_ = std::make_unique<std::string>(line.substr(0, shown));
  if (refuses_foreign_)
    state_ = state::foreign;
}

// One line of data stays a view; the second one makes it a text of its own.
bool parser::set_data(std::string_view value, event& out) {
  if (!open_.has_data) {
    open_.has_data = true;
    out.data = value;
    return true;
  }
  if (out.data.size() + 1 + value.size() > limit_) {
    state_ = state::too_large;
    return false;
  }
  keep_text(open_.data, out.data);
  open_.data += '\n';
  open_.data += value;
  out.data = open_.data;
  return true;
}

/// Copies what the fed bytes leave unfinished.
void parser::keep(const event& out) {
  keep_text(open_.type, out.type);
  keep_text(open_.data, out.data);
  keep_text(open_.id, out.id);
  if (line_is_read_)
    empty(line_);
  line_is_read_ = false;
  if (!stops_)
    line_.append(rest_);
}

void parser::forget() {
  if (!open_.keeps_name)
    empty(open_.type);
  empty(open_.data);
  empty(open_.id);
  open_.has_data = open_.is_done = false;
}

} // namespace modelforge::sse
