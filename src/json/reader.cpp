#include "json/reader.hpp"

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

} // namespace

std::string_view string_in(raw raw, std::string& scratch) {
  if (!raw.is_string())
    return {};
  if (raw.text.find('\\') == raw.text.npos)
    return raw.between_quotes();
  scratch.clear();
  lexer{raw.text}.take_string(&scratch);
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
  if (!(c == '{' || c == '[' ? walk(all) : all.scalar(in_)))
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
           name = string_in(raw{{first, static_cast<std::size_t>(in.position() - first)}}, escaped);
           return true;
         })
         && (waiting_ = true);
}

} // namespace modelforge::json
