#include "json/lexer.hpp"

#include "base/text_encoding.hpp"
#include "base/utf8.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace modelforge::json {

double real_of(std::string_view number) {
  double value = 0;
  if (std::from_chars(number.data(), number.data() + number.size(), value).ec == std::errc{})
    return value;
  auto tiny = number.find("e-") != number.npos || number.find("E-") != number.npos || number.find("0.") <= 1;
  value = tiny ? 0 : std::numeric_limits<double>::max();
  return number.starts_with('-') ? -value : value;
}

std::optional<uint64_t> whole_of(double number) {
  if (number < 0 || number > 9007199254740992.0 || number != std::trunc(number))
    return {};
  return static_cast<uint64_t>(number);
}

lexer::lexer(std::string_view text) : begin_(text.data()), p_(without_mark(text).data()), end_(begin_ + text.size()) {}

bool lexer::fail(std::string_view why) {
  if (problem_.empty())
    problem_ = std::string{why} + " at byte " + std::to_string(p_ - begin_);
  return false;
}

char lexer::skip_spaces() {
  while (p_ != end_ && (*p_ == ' ' || *p_ == '\n' || *p_ == '\r' || *p_ == '\t'))
    ++p_;
  return peek();
}

bool lexer::take_new_string(std::string* out) {
  auto* run = ++p_; // what is between it and `p_` can be copied as it is
  for (;;) {
    p_ = skip_plain(p_, end_);
    if (p_ == end_)
      return fail("a string without end");
    if (static_cast<uint8_t>(*p_) >= 0x80) {
      auto length = utf8::character_length(p_, end_);
      if (length == 0)
        return fail("no UTF-8");
      p_ += length;
      continue;
    }
    if (static_cast<uint8_t>(*p_) < 0x20)
      return fail("a control character in a string");
    if (out != nullptr)
      out->append(run, p_);
    if (*p_++ == '"')
      return true;
    if (!take_escape(out))
      return false;
    run = p_;
  }
}

// Its end is the next quote with an even number of backslashes before it.
bool lexer::take_known_string(std::string* out) {
  auto* run = ++p_;
  auto find = [this](char c) {
    auto* found = std::memchr(p_, c, static_cast<std::size_t>(end_ - p_));
    return found == nullptr ? end_ : static_cast<const char*>(found);
  };
  auto* quote = run;
  for (;; ++p_) {
    quote = p_ = find('"');
    if (quote == end_)
      return fail("a string without end");
    auto* slashes = quote;
    while (slashes != run && slashes[-1] == '\\')
      --slashes;
    if ((quote - slashes) % 2 == 0)
      break;
  }
  if (out != nullptr) {
    out->reserve(out->size() + static_cast<std::size_t>(quote - run));
    for (p_ = run; (p_ = std::min(find('\\'), quote)) != quote; run = p_) {
      out->append(run, p_++);
      if (!take_escape(out))
        return false;
    }
    out->append(run, quote);
  }
  p_ = quote + 1;
  return true;
}

bool lexer::skip_known() {
  std::size_t depth = 0;
  do {
    if (p_ == end_)
      return fail("unexpected end");
    auto c = *p_;
    if (c == '"') {
      if (!take_known_string(nullptr))
        return false;
      continue;
    }
    ++p_;
    if (c == '{' || c == '[')
      ++depth;
    else if (c == '}' || c == ']')
      --depth;
  } while (depth > 0);
  return true;
}

/// Takes what follows a backslash. Two escapes make one character where they are the halves of a surrogate pair; a half
/// alone becomes U+FFFD, since some servers cut answers there.
bool lexer::take_escape(std::string* out) {
  constexpr std::string_view from = "\"\\/bfnrt";
  constexpr std::string_view replacement = "\"\\/\b\f\n\r\t";
  auto c = peek();
  if (auto i = from.find(c); p_ != end_ && i != from.npos) {
    if (out != nullptr)
      *out += replacement[i];
    ++p_;
    return true;
  }
  uint32_t code = 0;
  if (c != 'u' || !take_hex(code))
    return fail("an unknown escape");
  auto is_high = code >= 0xD800 && code < 0xDC00;
  if (uint32_t low = 0; is_high && std::string_view(p_, end_).starts_with("\\u")) {
    auto* before = p_++;
    if (!take_hex(low))
      return fail("an unknown escape");
    if (low >= 0xDC00 && low < 0xE000)
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    else
      p_ = before;
  }
  if (out != nullptr)
    utf8::append(*out, code >= 0xD800 && code < 0xE000 ? 0xFFFD : code); // half a character, as some servers cut it
  return true;
}

/// Takes `uXXXX`.
bool lexer::take_hex(uint32_t& unit) {
  if (end_ - p_ < 5)
    return false;
  auto [stop, error] = std::from_chars(p_ + 1, p_ + 5, unit, 16);
  if (error != std::errc{} || stop != p_ + 5)
    return false;
  p_ += 5;
  return true;
}

bool lexer::take_digits() {
  auto* first = p_;
  while (p_ != end_ && *p_ >= '0' && *p_ <= '9')
    ++p_;
  return p_ != first;
}

/// Takes a number by the grammar of RFC 8259, 6, as it is written: who needs its value reads the text.
bool lexer::take_number(scalar& taken) {
  auto* first = p_;
  auto negative = peek() == '-';
  p_ += negative;
  auto zero = peek() == '0';
  if (!take_digits()) {
    auto ended = at_end();
    p_ = first;
    return fail(ended ? "unexpected end" : "no value");
  }
  if (zero && p_ - first > negative + 1)
    return fail("a number with a leading zero");
  auto* integer = p_;
  if (peek() == '.' && (++p_, !take_digits()))
    return fail("a broken number");
  if (peek() == 'e' || peek() == 'E') {
    ++p_;
    p_ += peek() == '+' || peek() == '-';
    if (!take_digits())
      return fail("a broken number");
  }
  taken = {scalar::kind::number, p_ == integer, {first, static_cast<std::size_t>(p_ - first)}};
  return true;
}

bool lexer::take_word(std::string_view word) {
  if (!std::string_view(p_, end_).starts_with(word))
    return fail("an unknown word");
  p_ += word.size();
  return true;
}

bool lexer::take_scalar(scalar& taken, std::string* out) {
  switch (peek()) {
    case '"':
      taken.type = scalar::kind::string;
      return take_string(out);
    case 't':
      taken.type = scalar::kind::true_word;
      return take_word("true");
    case 'f':
      taken.type = scalar::kind::false_word;
      return take_word("false");
    case 'n':
      taken.type = scalar::kind::null_word;
      return take_word("null");
    default:
      return take_number(taken);
  }
}

} // namespace modelforge::json
