#include "json/reader.hpp"

#include "base/ascii.hpp"
#include "base/utf8.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace modelforge::json {

namespace {

/// Takes what comes and keeps nothing.
struct skipper {
  bool open(lexer&, bool) { return true; }
  void close() {}
  bool name(lexer& in) { return in.take_string(nullptr); }
  bool scalar(lexer& in) {
    json::scalar ignored;
    return in.take_scalar(ignored);
  }
};

/// Returns the code unit of the escape `\uXXXX` that stands here; 0 where there is none.
uint32_t unit_at(std::string_view text) {
  uint32_t unit = 0;
  if (!text.starts_with("\\u") || text.size() < 6)
    return 0;
  auto [stop, error] = std::from_chars(text.data() + 2, text.data() + 6, unit, 16);
  return error == std::errc{} && stop == text.data() + 6 ? unit : 0;
}

/// Returns the first half of a character that a string ends in; 0 where it ends otherwise. `text`: with its escapes.
uint32_t half_at_end(std::string_view text) {
  if (text.size() < 6 || text[text.size() - 6] != '\\')
    return 0;
  auto before = text.substr(0, text.size() - 6);
  auto is_escaped = (before.size() - (before.find_last_not_of('\\') + 1)) % 2 != 0;
  auto unit = unit_at(text.substr(before.size()));
  return !is_escaped && unit >= 0xD800 && unit < 0xDC00 ? unit : 0;
}

/// Takes a word for what is no number off the front, in the forms of Python, JavaScript and C.
bool take_odd_number(std::string_view& text) {
  auto rest = text;
  if (rest.starts_with('-') || rest.starts_with('+'))
    rest.remove_prefix(1);
  for (std::string_view word : {"nan", "infinity", "inf"})
    if (ascii::istarts_with(rest, word)) {
      rest.remove_prefix(word.size());
      if (!rest.empty() && ascii::is_alnum(rest.front()))
        return false;
      text = rest;
      return true;
    }
  return false;
}

} // namespace

std::string_view string_in(raw raw, std::string& scratch, uint32_t& half) {
  auto text = raw.between_quotes();
  if (text.empty() || (half == 0 && text.find('\\') == text.npos))
    return text;
  auto first = std::exchange(half, half_at_end(text));
  if (first == 0 && half == 0)
    return string_in(raw, scratch);
  auto low = first != 0 ? unit_at(text) : 0;
  auto joins = low >= 0xDC00 && low < 0xE000;
  std::string decoded;
  if (joins)
    utf8::append(decoded, 0x10000 + ((first - 0xD800) << 10) + (low - 0xDC00));
  else if (first != 0)
    decoded = utf8::replacement;
  auto begin = joins ? std::size_t{6} : 0;
  auto end = text.size() - (half != 0 ? 6 : 0);
  if (begin < end)
    lexer{'"' + std::string{text.substr(begin, end - begin)} + '"'}.take_string(&decoded);
  return scratch = std::move(decoded);
}

// Only what stands where a value begins can be meant: behind a colon, a comma or a bracket.
std::optional<std::string> without_odd_numbers(std::string_view text) {
  std::string out;
  auto found = false;
  for (char before = ':'; !text.empty();) {
    auto c = text.front();
    if (c == '"') {
      std::size_t end = 1;
      while (end < text.size() && text[end] != '"')
        end += text[end] == '\\' ? 2 : 1;
      end = std::min(end + 1, text.size());
      out += text.substr(0, end);
      text.remove_prefix(end);
    } else if ((before == ':' || before == ',' || before == '[') && take_odd_number(text)) {
      out += "null";
      found = true;
    } else {
      out += c;
      text.remove_prefix(1);
    }
    before = ascii::spaces.find(c) == ascii::spaces.npos ? c : before;
  }
  return found ? std::optional{std::move(out)} : std::nullopt;
}

// Outside of strings they are white space.
std::optional<std::string> with_escaped_controls(std::string_view text, string_state& state) {
  auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 && c != 0; };
  if (std::none_of(text.begin(), text.end(), is_control))
    return {};
  std::string out;
  auto found = false;
  for (auto c : text) {
    if (state.in_string && !state.is_escaped && is_control(c)) {
      constexpr std::string_view digits = "0123456789abcdef";
      auto byte = static_cast<unsigned char>(c);
      out.append("\\u00").append({digits[byte >> 4], digits[byte & 15]});
      found = true;
      continue;
    }
    if (c == '"' && !state.is_escaped)
      state.in_string = !state.in_string;
    state.is_escaped = state.in_string && c == '\\' && !state.is_escaped;
    out += c;
  }
  return found ? std::optional{std::move(out)} : std::nullopt;
}

std::optional<std::string> with_escaped_controls(std::string_view text) {
  string_state state;
  return with_escaped_controls(text, state);
}

std::string_view string_in(raw raw, std::string& scratch) {
  if (!raw.is_string())
    return {};
  if (raw.text.find('\\') == raw.text.npos)
    return raw.between_quotes();
  scratch.clear();
  lexer{raw.text, true}.take_string(&scratch);
  return scratch;
}

// A number like 5.0 or 1e3 is a count, too: some servers write all of their numbers as floats.
std::optional<uint64_t> count_in(raw raw) {
  if (raw.text.empty() || (raw.text.front() != '-' && (raw.text.front() < '0' || raw.text.front() > '9')))
    return {};
  if (uint64_t count = 0; read_whole(raw.text, count))
    return count;
  if (int64_t number = 0; read_whole(raw.text, number))
    return {};
  return whole_of(real_of(raw.text));
}

raw reader::value() {
  if (in_.failed() || !waiting_)
    return {};
  waiting_ = false;
  auto c = in_.skip_space();
  auto* first = in_.position();
  skipper all;
  auto holds_others = c == '{' || c == '[';
  if (!(!holds_others ? all.scalar(in_) : in_.is_known() ? in_.skip_known() : walk(all)))
    return {};
  return {{first, static_cast<std::size_t>(in_.position() - first)}};
}

bool reader::finish() {
  skip();
  in_.skip_space();
  return !in_.failed() && (in_.at_end() || in_.fail("something after the end"));
}

bool reader::open(char bracket) {
  if (in_.failed() || !waiting_ || in_.skip_space() != bracket)
    return false;
  waiting_ = false;
  if (++depth_ > max_depth)
    return in_.fail("nested deeper than " + std::to_string(max_depth) + " levels");
  in_.step();
  fresh_ = true;
  return true;
}

bool reader::next(char closing) {
  if (in_.failed())
    return false;
  auto c = in_.skip_space();
  if (c == closing) {
    in_.step();
    --depth_;
    return fresh_ = false;
  }
  if (!fresh_) {
    if (c == '}' || c == ']')
      return in_.fail("the wrong closing bracket");
    if (c != ',')
      return in_.fail_or_end("no comma between two values");
    in_.step();
  }
  fresh_ = false;
  return true;
}

bool reader::next_member(std::string_view& name, std::string& escaped) {
  return next('}') && take_name([&](lexer& in) {
           auto* first = in.position();
           if (!in.take_string(nullptr))
             return false;
           raw quoted{{first, static_cast<std::size_t>(in.position() - first)}};
           name = {first + 1, quoted.text.size() - 2};
           if (name.find('\\') != name.npos)
             name = string_in(quoted, escaped);
           return true;
         })
         && (waiting_ = true);
}

} // namespace modelforge::json
