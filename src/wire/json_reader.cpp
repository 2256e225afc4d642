#include "wire/json_reader.hpp"

namespace modelforge::wire {

std::string_view string_in(raw_json x, std::string& scratch) {
  if (!x.is_string())
    return {};
  if (x.text.find('\\') == x.text.npos)
    return x.text.substr(1, x.text.size() - 2);
  scratch.clear();
  json_lexer{x.text}.take_string(&scratch);
  return scratch;
}

std::optional<uint64_t> count_in(raw_json x) {
  if (x.text.empty() || (x.text.front() != '-' && (x.text.front() < '0' || x.text.front() > '9')))
    return {};
  if (uint64_t count = 0; read_whole(x.text, count))
    return count;
  if (int64_t number = 0; read_whole(x.text, number))
    return {};
  return whole_of(real_of(x.text));
}

raw_json json_reader::value() {
  if (in_.failed() || !waiting_)
    return {};
  waiting_ = false;
  auto c = in_.skip_space();
  auto* first = in_.at();
  if (!(c == '{' || c == '[' ? take_nested() : take_single()))
    return {};
  return {{first, static_cast<std::size_t>(in_.at() - first)}};
}

bool json_reader::finish() {
  skip();
  in_.skip_space();
  return !in_.failed() && (in_.at_end() || in_.fail("something after the end"));
}

bool json_reader::open(char bracket) {
  if (in_.failed() || !waiting_ || in_.skip_space() != bracket)
    return false;
  waiting_ = false;
  if (++depth_ > max_json_depth)
    return in_.fail("nested deeper than " + std::to_string(max_json_depth) + " levels");
  in_.step();
  fresh_ = true;
  return true;
}

bool json_reader::next(char closing) {
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

bool json_reader::next_member(std::string_view& name, std::string& escaped) {
  return next('}') && take_name(name, escaped) && (waiting_ = true);
}

bool json_reader::next_element() {
  return next(']') && (waiting_ = true);
}

bool json_reader::take_name(std::string_view& name, std::string& escaped) {
  if (in_.skip_space() != '"')
    return in_.fail_or_end("no name of a member");
  auto* first = in_.at();
  if (!in_.take_string(nullptr))
    return false;
  name = string_in(raw_json{{first, static_cast<std::size_t>(in_.at() - first)}}, escaped);
  if (in_.skip_space() != ':')
    return in_.fail_or_end("no colon after a name");
  in_.step();
  return true;
}

/// Takes a value that holds no others.
bool json_reader::take_single() {
  switch (in_.peek()) {
    case '"':
      return in_.take_string(nullptr);
    case 't':
      return in_.take_word("true");
    case 'f':
      return in_.take_word("false");
    case 'n':
      return in_.take_word("null");
    default: {
      std::string_view number;
      bool whole = false;
      return in_.take_number(number, whole);
    }
  }
}

/// Takes an object or an array with all that is in it, without recursion.
bool json_reader::take_nested() {
  std::bitset<max_json_depth> is_object; // those that are open, by depth
  std::string_view name;
  std::string escaped;
  auto outside = depth_;
  do {
    if (auto c = in_.skip_space(); c == '{' || c == '[') {
      if (depth_ < max_json_depth)
        is_object[depth_] = c == '{';
      waiting_ = true;
      if (!open(c))
        return false;
    } else if (!take_single()) {
      return false;
    }
    while (depth_ > outside && !(is_object[depth_ - 1] ? next('}') && take_name(name, escaped) : next(']')))
      if (in_.failed())
        return false;
  } while (depth_ > outside);
  return true;
}

} // namespace modelforge::wire
