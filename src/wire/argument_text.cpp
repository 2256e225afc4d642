#include "wire/argument_text.hpp"

#include "base/ascii.hpp"
#include "wire/json.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::wire {

namespace {

constexpr int max_encodings = 3;         ///< Of an object inside of strings; more are nobody's mistake.
constexpr std::size_t usual_nothing = 8; ///< Bytes that say that there are no arguments.

/// Whether two values are the same, whatever the order of their members.
bool is_same(const json::value& left, const json::value& right) {
  if (left.is_object() && right.is_object())
    return left.size() == right.size() && std::all_of(left.items().begin(), left.items().end(), [&](auto& entry) {
             return right.contains(entry.key()) && is_same(entry.value(), member(right, entry.key()));
           });
  if (left.is_array() && right.is_array())
    return std::equal(left.begin(), left.end(), right.begin(), right.end(), is_same);
  return left == right;
}

bool is_ink(char c) {
  return ascii::spaces.find(c) == ascii::spaces.npos;
}

/// Whether arguments, without white space around them, are a way to say that there are none.
bool says_nothing(std::string_view arguments) {
  if (arguments.size() > usual_nothing)
    return false;
  auto is_empty_object = arguments.starts_with('{') && arguments.ends_with('}')
                         && std::count_if(arguments.begin(), arguments.end(), is_ink) == 2;
  return is_empty_object || arguments == "null" || arguments == "\"\"";
}

/// Whether what stands here begins a JSON value as arguments have it: an object, one that is encoded, or null.
bool begins_arguments(std::string_view fragment) {
  auto text = ascii::trim_front(fragment);
  return text.starts_with('{') || text.starts_with('"') || text.starts_with("null");
}

} // namespace

bool is_same_json(std::string_view left, std::string_view right) {
  auto one = json::parse(left), other = json::parse(right);
  auto* value = std::get_if<json::value>(&one);
  auto* same = std::get_if<json::value>(&other);
  return value != nullptr && same != nullptr && is_same(*value, *same);
}

std::string plain_arguments(std::string_view text) {
  auto as_json = [](std::string_view part) { return json::with_escaped_controls(part).value_or(std::string{part}); };
  auto whole = as_json(text), present = whole;
  for (auto i = 0; i <= max_encodings; ++i) {
    json::reader in{present};
    auto value = in.value();
    if (!in.finish())
      break;
    if (value.is_object())
      return present;
    if (value.text == "null" || value.text == "\"\"")
      return "{}";
    if (!value.is_string())
      break;
    std::string scratch;
    present = as_json(string_in(value, scratch));
  }
  return whole;
}

std::string on_one_line(std::string_view json) {
  std::string out;
  if (json.find_first_of("\r\n") == json.npos)
    return out = json;
  out.reserve(json.size());
  auto in_string = false, is_escaped = false;
  for (auto c : json) {
    if (!in_string && ascii::spaces.find(c) != ascii::spaces.npos)
      continue;
    out += c;
    if (c == '"' && !is_escaped)
      in_string = !in_string;
    is_escaped = in_string && c == '\\' && !is_escaped;
  }
  return out;
}

std::string_view argument_text::add(std::string_view fragment, bool waits) {
  if (fragment.empty())
    return waits ? std::string_view{} : hand_on();
  if (is_placeholder() && begins_arguments(fragment)) {
    *this = {}; // it held the place of what comes now
  } else if (is_whole_) {
    add_repeat(fragment);
    return waits ? std::string_view{} : hand_on();
  }
  if (takes_text_) {
    text_ += fragment;
    return waits ? std::string_view{} : hand_on();
  }
  auto escaped = escaped_controls(fragment);
  if (!escaped.empty())
    fragment = escaped;
  if (!other_.empty())
    other_ = fragment.starts_with(other_) ? std::string{fragment} : std::string{};
  else if (may_be_cumulative(fragment)) {
    if (!in_string_ && last_ != ':' && last_ != '[' && last_ != ',')
      fragment.remove_prefix(text_.size()); // no object goes on with its own beginning here
    else
      other_ = fragment;
  }
  scan(fragment);
  if (is_whole_ && !other_.empty()) {
    if (json::reader{text_}.finish())
      other_.clear();
    else
      take_other();
  }
  return waits ? std::string_view{} : hand_on();
}

/// The fragment as JSON has it, if it holds what JSON does not; else nothing. It goes on where the arguments are now,
/// or holds all of them so far.
std::string argument_text::escaped_controls(std::string_view fragment) const {
  json::string_state here{in_string_, is_escaped_};
  auto escaped = json::with_escaped_controls(fragment, here);
  if (in_string_ && fragment.starts_with('{'))
    if (auto all = json::with_escaped_controls(fragment); all && may_be_cumulative(*all))
      return std::move(*all);
  return escaped ? std::move(*escaped) : std::string{};
}

bool argument_text::is_other_whole() const {
  return !other_.empty() && json::reader{other_}.finish();
}

/// The fragments hold all that came before. What was handed on is a beginning of either.
void argument_text::take_other() {
  auto whole = std::exchange(other_, {});
  auto told = told_;
  *this = {};
  scan(whole);
  told_ = told;
}

// An object's beginning stands behind itself only where a value may begin or inside of a string; elsewhere the fragment
// repeats what came.
bool argument_text::may_be_cumulative(std::string_view fragment) const {
  return first_ == '{' && fragment.size() >= text_.size() && fragment.starts_with(text_);
}

bool argument_text::holds_nothing() const {
  return says_nothing(ascii::trim(text_));
}

/// A repetition may come in fragments, too, each of them perhaps with all of it so far.
void argument_text::add_repeat(std::string_view fragment) {
  if (repeat_.empty() && fragment == text_)
    return;
  auto rest = std::string_view{text_}.substr(std::min(repeat_.size(), text_.size()));
  auto goes_on = text_.starts_with(repeat_) && rest.starts_with(fragment);
  if (!goes_on && fragment.starts_with(repeat_))
    repeat_.clear();
  repeat_ += fragment;
}

/// Returns what stands behind what was handed on, unless it is held back.
std::string_view argument_text::hand_on() {
  auto is_held = !takes_text_ && (first_ != '{' || !other_.empty() || is_placeholder());
  return is_held ? std::string_view{} : std::string_view{text_}.substr(std::exchange(told_, text_.size()));
}

/// Appends a fragment and follows its brackets; whether it is JSON is found out at the end.
void argument_text::scan(std::string_view fragment) {
  text_ += fragment;
  auto* end = fragment.data() + fragment.size();
  for (auto* p = fragment.data(); p != end; ++p) {
    if (is_escaped_) {
      is_escaped_ = false;
      continue;
    }
    if (in_string_ && (p = json::skip_plain(p, end)) == end)
      return;
    auto c = *p;
    if (in_string_) {
      is_escaped_ = c == '\\';
      in_string_ = c != '"';
      is_whole_ = !in_string_ && nesting_ == 0;
      continue;
    }
    if (ascii::spaces.find(c) != ascii::spaces.npos)
      continue;
    is_whole_ = false; // something follows the end: it is not JSON
    first_ = first_ == 0 ? c : first_;
    last_ = c;
    if (c == '"')
      in_string_ = true;
    else if (c == '{' || c == '[')
      ++nesting_;
    else if ((c == '}' || c == ']') && nesting_ > 0)
      is_whole_ = --nesting_ == 0;
  }
  is_whole_ = is_whole_ || (first_ == 'n' && ascii::trim(text_) == "null");
}

std::string_view argument_text::settle() {
  if (takes_text_)
    return {};
  if (!is_whole_ && is_other_whole())
    take_other();
  if (!is_whole_)
    return {};
  if (first_ != '{' || holds_nothing()) {
    text_ = plain_arguments(ascii::trim(text_));
    first_ = '{';
  }
  return std::string_view{text_}.substr(std::exchange(told_, text_.size()));
}

// A value that holds nothing contradicts none; and what was repeated may have been cut with the answer.
void argument_text::end() {
  settle();
  auto again = ascii::trim(repeat_);
  is_contradictory_ = !again.empty() && !ascii::trim(text_).starts_with(again) && !says_nothing(plain_arguments(again))
                      && !is_same_json(text_, plain_arguments(again));
}

} // namespace modelforge::wire
