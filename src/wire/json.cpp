#include "wire/json.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

namespace modelforge::wire {

namespace {

// -- UTF-8 ---------------------------------------------------------------------------

constexpr uint64_t every_byte(uint8_t x) {
  return 0x0101010101010101u * x;
}

constexpr uint64_t has_zero(uint64_t x) {
  return (x - every_byte(1)) & ~x & every_byte(0x80);
}

uint64_t load(const char* p) {
  uint64_t x;
  std::memcpy(&x, p, sizeof x);
  return x;
}

/// Length of the character at `p`, 0 if it is none (overlong forms, surrogates and cut ones included).
std::size_t character_length(const char* p, const char* end) {
  auto byte = [p](int i) { return static_cast<uint8_t>(p[i]); };
  auto within = [&](int i, int low = 0x80, int high = 0xBF) { return byte(i) >= low && byte(i) <= high; };
  auto left = end - p;
  auto first = byte(0);
  if (first < 0x80)
    return 1;
  if (first >= 0xC2 && first <= 0xDF)
    return left > 1 && within(1) ? 2 : 0;
  if ((first & 0xF0) == 0xE0)
    return left > 2 && within(1, first == 0xE0 ? 0xA0 : 0x80, first == 0xED ? 0x9F : 0xBF) && within(2) ? 3 : 0;
  if (first >= 0xF0 && first <= 0xF4)
    return left > 3 && within(1, first == 0xF0 ? 0x90 : 0x80, first == 0xF4 ? 0x8F : 0xBF) && within(2) && within(3)
             ? 4
             : 0;
  return 0;
}

bool is_plain(char c) {
  return static_cast<uint8_t>(c) >= 0x20 && static_cast<uint8_t>(c) < 0x80 && c != '"' && c != '\\';
}

/// Skips ASCII that stands in a JSON string as it is.
const char* skip_plain(const char* p, const char* end) {
  for (; end - p >= 8; p += 8) {
    auto x = load(p);
    auto special = (x | (x - every_byte(0x20))) & every_byte(0x80); // above 127, or a control character
    if ((special | has_zero(x ^ every_byte('"')) | has_zero(x ^ every_byte('\\'))) != 0)
      break;
  }
  while (p != end && is_plain(*p))
    ++p;
  return p;
}

void append_escape(std::string& out, char c) {
  constexpr std::string_view from = "\"\\\b\f\n\r\t";
  constexpr std::string_view to = "\"\\bfnrt";
  if (auto i = from.find(c); i != from.npos) {
    out += '\\';
    out += to[i];
    return;
  }
  constexpr char digits[] = "0123456789abcdef";
  out += "\\u00";
  out += digits[(c >> 4) & 15];
  out += digits[c & 15];
}

/// Appends `text` as it stands between the quotes of a JSON string; false where it is not UTF-8.
bool append_escaped(std::string& out, std::string_view text) {
  auto* p = text.data();
  auto* end = p + text.size();
  auto* run = p; // what is between it and `p` can be copied as it is
  while (p != end) {
    if (static_cast<uint8_t>(*p) >= 0x80) {
      auto length = character_length(p, end);
      if (length == 0)
        return false;
      p += length;
    } else if (is_plain(*p)) {
      p = skip_plain(p, end);
    } else {
      out.append(run, p);
      append_escape(out, *p);
      run = ++p;
    }
  }
  out.append(run, end);
  return true;
}

// -- reading -------------------------------------------------------------------------

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

void append_utf8(std::string& out, uint32_t x) {
  auto add = [&](uint32_t byte) { out += static_cast<char>(byte); };
  auto tail = [&](int shift) { add(0x80 | ((x >> shift) & 0x3F)); };
  if (x < 0x80) {
    add(x);
  } else if (x < 0x800) {
    add(0xC0 | (x >> 6));
    tail(0);
  } else if (x < 0x10000) {
    add(0xE0 | (x >> 12));
    tail(6);
    tail(0);
  } else {
    add(0xF0 | (x >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

/// Reads one document into the library's tree. Ours, because the library's own parser takes ten times as long for long
/// strings (it goes byte by byte), and minutes for an object of a million names (it looks for each before it appends).
class parser {
public:
  explicit parser(std::string_view text) : begin_(text.data()), p_(begin_), end_(begin_ + text.size()) {}

  std::variant<json, std::string> read() {
    if (read_document())
      return std::variant<json, std::string>{std::in_place_index<0>, std::move(root_)};
    error_ += " at byte " + std::to_string(p_ - begin_);
    return std::variant<json, std::string>{std::in_place_index<1>, std::move(error_)};
  }

private:
  bool fail(std::string_view why) {
    error_ = why;
    return false;
  }

  char peek() const { return p_ == end_ ? '\0' : *p_; }

  char skip_space() {
    while (p_ != end_ && (*p_ == ' ' || *p_ == '\n' || *p_ == '\r' || *p_ == '\t'))
      ++p_;
    return peek();
  }

  /// No recursion: depth costs a place in `open_`.
  bool read_document() {
    if (std::string_view(p_, end_).starts_with("\xEF\xBB\xBF")) // some write a byte order mark
      p_ += 3;
    do {
      if (!read_value())
        return false;
    } while (!open_.empty());
    skip_space();
    return p_ == end_ || fail("something after the end");
  }

  /// Reads a value (of an object: with its name), or only the beginning of one that holds others, and what closes.
  bool read_value() {
    if (auto c = skip_space(); !fresh_ && !open_.empty() && c != '}' && c != ']') {
      if (c != ',')
        return fail(p_ == end_ ? "unexpected end" : "no comma between two values");
      ++p_;
    } else if (!open_.empty() && (c == '}' || c == ']')) {
      return close(c);
    }
    fresh_ = false;
    if (!open_.empty() && open_.back()->is_object() && !read_name())
      return false;
    switch (skip_space()) {
      case '{':
        return open(json::value_t::object);
      case '[':
        return open(json::value_t::array);
      case '"': {
        auto* x = place(json::value_t::string);
        return x != nullptr && read_string(x->get_ref<std::string&>());
      }
      case 't':
        return read_word("true", true);
      case 'f':
        return read_word("false", false);
      case 'n':
        return read_word("null", nullptr);
      default:
        return read_number();
    }
  }

  /// Puts a value where the next one belongs; null when there are too many.
  json* place(json x) {
    if (++values_ > max_json_values) {
      fail("more than " + std::to_string(max_json_values) + " values");
      return nullptr;
    }
    auto* to = slot_ != nullptr ? std::exchange(slot_, nullptr) : &root_;
    if (!open_.empty() && open_.back()->is_array())
      to = &open_.back()->get_ref<json::array_t&>().emplace_back();
    *to = std::move(x);
    return to;
  }

  bool open(json::value_t type) {
    if (open_.size() == max_json_depth)
      return fail("nested deeper than " + std::to_string(max_json_depth) + " levels");
    auto* x = place(type);
    if (x == nullptr)
      return false;
    open_.push_back(x); // stays valid: what holds it gets no further element before it is closed
    fresh_ = true;
    ++p_;
    return true;
  }

  bool close(char c) {
    if (open_.back()->is_object() != (c == '}'))
      return fail("the wrong closing bracket");
    open_.pop_back();
    fresh_ = false;
    ++p_;
    return true;
  }

  bool read_name() {
    if (skip_space() != '"')
      return fail(p_ == end_ ? "unexpected end" : "no name of a member");
    std::string name;
    if (!read_string(name))
      return false;
    if (skip_space() != ':')
      return fail(p_ == end_ ? "unexpected end" : "no colon after a name");
    ++p_;
    slot_ = &open_.back()->get_ref<json::object_t&>().emplace_back(std::move(name), nullptr).second;
    return true;
  }

  bool read_word(std::string_view word, json x) {
    if (!std::string_view(p_, end_).starts_with(word))
      return fail("an unknown word");
    p_ += word.size();
    return place(std::move(x)) != nullptr;
  }

  bool read_string(std::string& out) {
    auto* run = ++p_; // what is between it and `p_` can be copied as it is
    for (;;) {
      p_ = skip_plain(p_, end_);
      if (p_ == end_)
        return fail("a string without end");
      if (static_cast<uint8_t>(*p_) >= 0x80) {
        auto length = character_length(p_, end_);
        if (length == 0)
          return fail("no UTF-8");
        p_ += length;
        continue;
      }
      if (static_cast<uint8_t>(*p_) < 0x20)
        return fail("a control character in a string");
      out.append(run, p_);
      if (*p_++ == '"')
        return true;
      if (!read_escape(out))
        return false;
      run = p_;
    }
  }

  bool read_escape(std::string& out) {
    constexpr std::string_view from = "\"\\/bfnrt";
    constexpr std::string_view to = "\"\\/\b\f\n\r\t";
    auto c = peek();
    if (auto i = from.find(c); p_ != end_ && i != from.npos) {
      out += to[i];
      ++p_;
      return true;
    }
    uint32_t x = 0;
    if (c != 'u' || !read_hex(x))
      return fail("an unknown escape");
    auto is_high = x >= 0xD800 && x < 0xDC00;
    if (uint32_t low = 0; is_high && std::string_view(p_, end_).starts_with("\\u")) {
      auto* before = p_++;
      if (!read_hex(low))
        return fail("an unknown escape");
      if (low >= 0xDC00 && low < 0xE000)
        x = 0x10000 + ((x - 0xD800) << 10) + (low - 0xDC00);
      else
        p_ = before;
    }
    append_utf8(out, x >= 0xD800 && x < 0xE000 ? 0xFFFD : x); // half a character, as some servers cut it
    return true;
  }

  /// Reads `uXXXX`.
  bool read_hex(uint32_t& x) {
    if (end_ - p_ < 5)
      return false;
    auto [stop, error] = std::from_chars(p_ + 1, p_ + 5, x, 16);
    if (error != std::errc{} || stop != p_ + 5)
      return false;
    p_ += 5;
    return true;
  }

  bool skip_digits() {
    auto* first = p_;
    while (p_ != end_ && is_digit(*p_))
      ++p_;
    return p_ != first;
  }

  bool read_number() {
    auto* first = p_;
    auto negative = peek() == '-';
    p_ += negative;
    auto zero = peek() == '0';
    if (!skip_digits())
      return p_ = first, fail(p_ == end_ ? "unexpected end" : "no value");
    if (zero && p_ - first > negative + 1)
      return fail("a number with a leading zero");
    auto whole = p_;
    if (peek() == '.' && (++p_, !skip_digits()))
      return fail("a broken number");
    if (peek() == 'e' || peek() == 'E') {
      ++p_;
      p_ += peek() == '+' || peek() == '-';
      if (!skip_digits())
        return fail("a broken number");
    }
    return (p_ == whole && (negative ? add_whole<int64_t>(first) : add_whole<uint64_t>(first))) || add_real(first);
  }

  template <class T>
  bool add_whole(const char* first) {
    T x;
    return std::from_chars(first, p_, x).ec == std::errc{} && place(x) != nullptr;
  }

  bool add_real(const char* first) {
    if (!error_.empty())
      return false;
    double x = 0;
    if (std::from_chars(first, p_, x).ec != std::errc{}) { // too large or too small for a double
      std::string_view text(first, p_);
      auto tiny = text.find("e-") != text.npos || text.find("E-") != text.npos || text.find("0.") <= 1;
      x = tiny ? 0 : std::numeric_limits<double>::max();
      if (*first == '-')
        x = -x;
    }
    return place(x) != nullptr;
  }

  const char* begin_;
  const char* p_;
  const char* end_;
  json root_;
  std::vector<json*> open_; ///< The objects and arrays around the next value.
  json* slot_ = nullptr;    ///< Where the value goes whose name was read last.
  bool fresh_ = false;      ///< Whether the innermost of `open_` has no value yet.
  std::size_t values_ = 0;
  std::string error_;
};

} // namespace

std::variant<json, std::string> parse_json(std::string_view text) {
  return parser{text}.read();
}

const json& member(const json& x, std::string_view name) {
  static const json none;
  auto* members = x.get_ptr<const json::object_t*>();
  if (members != nullptr)
    for (auto i = members->rbegin(); i != members->rend(); ++i)
      if (i->first == name)
        return i->second;
  return none;
}

std::string_view string_in(const json& x) {
  auto* text = x.get_ptr<const std::string*>();
  return text != nullptr ? std::string_view{*text} : std::string_view{};
}

std::optional<uint64_t> count_in(const json& x) {
  if (x.is_number_unsigned())
    return x.get<uint64_t>();
  if (!x.is_number_float())
    return {};
  auto number = x.get<double>();
  if (number < 0 || number > 9007199254740992.0 || number != std::trunc(number))
    return {};
  return static_cast<uint64_t>(number);
}

std::string to_text(const json& x) {
  return x.dump(-1, ' ', false, json::error_handler_t::replace);
}

bool valid_utf8(std::string_view text) {
  auto* p = text.data();
  auto* end = p + text.size();
  while (p != end) {
    if (end - p >= 8 && (load(p) & every_byte(0x80)) == 0) {
      p += 8;
      continue;
    }
    auto length = character_length(p, end);
    if (length == 0)
      return false;
    p += length;
  }
  return true;
}

std::string repair_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  auto* end = text.data() + text.size();
  for (auto* p = text.data(); p != end;) {
    auto length = character_length(p, end);
    if (length == 0)
      out += "\xEF\xBF\xBD";
    else
      out.append(p, length);
    p += std::max<std::size_t>(length, 1);
  }
  return out;
}

std::string_view cut_utf8(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes)
    return text;
  while (bytes > 0 && (static_cast<uint8_t>(text[bytes]) & 0xC0) == 0x80)
    --bytes;
  return text.substr(0, bytes);
}

bool json_writer::string(std::initializer_list<std::string_view> pieces) {
  separate();
  out_ += '"';
  for (auto piece : pieces)
    if (!append_escaped(out_, piece))
      return false;
  out_ += '"';
  return true;
}

void json_writer::repaired(std::string_view text) {
  auto before = out_.size();
  auto first = first_;
  if (string(text))
    return;
  out_.resize(before);
  first_ = first;
  (void)string(repair_utf8(text));
}

} // namespace modelforge::wire
