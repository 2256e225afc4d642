#include "json/writer.hpp"

#include "base/hex.hpp"
#include "base/utf8.hpp"
#include "json/lexer.hpp"

namespace modelforge::json {

namespace {

void append_escape(std::string& out, char c) {
  constexpr std::string_view special = "\"\\\b\f\n\r\t";
  constexpr std::string_view letters = "\"\\bfnrt";
  if (auto i = special.find(c); i != special.npos) {
    out += '\\';
    out += letters[i];
    return;
  }
  hex::append(out += "\\u00", c);
}

/// Appends `text` as it stands between the quotes of a JSON string; false where it is not UTF-8.
bool append_escaped(std::string& out, std::string_view text) {
  auto* p = text.data();
  auto* end = p + text.size();
  auto* run = p; // what is between it and `p` can be copied as it is
  while (p != end) {
    if (static_cast<uint8_t>(*p) >= 0x80) {
      auto length = utf8::character_length(p, end);
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

} // namespace

bool writer::string(std::initializer_list<std::string_view> pieces) {
  separate();
  out_ += '"';
  for (auto piece : pieces)
    if (!append_escaped(out_, piece))
      return false;
  out_ += '"';
  return true;
}

void writer::repaired(std::string_view text) {
  auto before = out_.size();
  auto first = first_;
  if (string(text))
    return;
  out_.resize(before);
  first_ = first;
  (void)string(utf8::repair(text));
}

} // namespace modelforge::json
