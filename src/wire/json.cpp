#include "wire/json.hpp"

#include "wire/json_lexer.hpp"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

namespace modelforge::wire {

namespace {

// -- writing -------------------------------------------------------------------------

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
    } else if (auto* special = skip_plain(p, end); special != p) {
      p = special;
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

std::string too_deep() {
  return "nested deeper than " + std::to_string(max_json_depth) + " levels";
}

/// Reads one document into the library's tree. Ours, because the library's own parser takes ten times as long for long
/// strings (it goes byte by byte), and minutes for an object of a million names (it looks for each before it appends).
class parser {
public:
  explicit parser(std::string_view text) : in_(text) {}

  std::variant<json, std::string> read() {
    if (read_document())
      return std::variant<json, std::string>{std::in_place_index<0>, std::move(root_)};
    return std::variant<json, std::string>{std::in_place_index<1>, in_.problem()};
  }

private:
  /// No recursion: depth costs a place in `open_`.
  bool read_document() {
    do {
      if (!read_value())
        return false;
    } while (!open_.empty());
    in_.skip_space();
    return in_.at_end() || in_.fail("something after the end");
  }

  /// Reads a value (of an object: with its name), or only the beginning of one that holds others, and what closes.
  bool read_value() {
    if (auto c = in_.skip_space(); !fresh_ && !open_.empty() && c != '}' && c != ']') {
      if (c != ',')
        return in_.fail_or_end("no comma between two values");
      in_.step();
    } else if (!open_.empty() && (c == '}' || c == ']')) {
      return close(c);
    }
    fresh_ = false;
    if (!open_.empty() && open_.back()->is_object() && !read_name())
      return false;
    switch (in_.skip_space()) {
      case '{':
        return open(json::value_t::object);
      case '[':
        return open(json::value_t::array);
      case '"': {
        auto* x = place(json::value_t::string);
        return x != nullptr && in_.take_string(&x->get_ref<std::string&>());
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
      in_.fail("more than " + std::to_string(max_json_values) + " values");
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
      return in_.fail(too_deep());
    auto* x = place(type);
    if (x == nullptr)
      return false;
    open_.push_back(x); // stays valid: what holds it gets no further element before it is closed
    fresh_ = true;
    in_.step();
    return true;
  }

  bool close(char c) {
    if (open_.back()->is_object() != (c == '}'))
      return in_.fail("the wrong closing bracket");
    open_.pop_back();
    fresh_ = false;
    in_.step();
    return true;
  }

  bool read_name() {
    if (in_.skip_space() != '"')
      return in_.fail_or_end("no name of a member");
    std::string name;
    if (!in_.take_string(&name))
      return false;
    if (in_.skip_space() != ':')
      return in_.fail_or_end("no colon after a name");
    in_.step();
    slot_ = &open_.back()->get_ref<json::object_t&>().emplace_back(std::move(name), nullptr).second;
    return true;
  }

  bool read_word(std::string_view word, json x) { return in_.take_word(word) && place(std::move(x)) != nullptr; }

  bool read_number() {
    std::string_view text;
    bool whole = false;
    if (!in_.take_number(text, whole))
      return false;
    if (uint64_t count = 0; whole && read_whole(text, count))
      return place(count) != nullptr;
    if (int64_t number = 0; whole && read_whole(text, number))
      return place(number) != nullptr;
    return place(real_of(text)) != nullptr;
  }

  json_lexer in_;
  json root_;
  std::vector<json*> open_; ///< The objects and arrays around the next value.
  json* slot_ = nullptr;    ///< Where the value goes whose name was read last.
  bool fresh_ = false;      ///< Whether the innermost of `open_` has no value yet.
  std::size_t values_ = 0;
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
  return x.is_number_float() ? whole_of(x.get<double>()) : std::nullopt;
}

std::string to_text(const json& x) {
  return x.dump(-1, ' ', false, json::error_handler_t::replace);
}

bool valid_utf8(std::string_view text) {
  auto* p = text.data();
  auto* end = p + text.size();
  while (p != end) {
    if (uint64_t bytes = 0; end - p >= 8) {
      std::memcpy(&bytes, p, 8);
      if ((bytes & 0x8080808080808080u) == 0) {
        p += 8;
        continue;
      }
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
