#include "tools/simulator/text.hpp"

#include <algorithm>
#include <charconv>

namespace modelforge::simulator {

namespace {

/// Control characters count as spaces.
script ascii_script(unsigned char c) {
  if (c <= ' ')
    return script::space;
  if (c >= '0' && c <= '9')
    return script::digit;
  auto lower = c | 0x20;
  return lower >= 'a' && lower <= 'z' ? script::latin : script::mark;
}

/// Most characters of one script in a token.
std::size_t token_length(script kind) {
  switch (kind) {
    case script::latin:
      return 7;
    case script::digit:
      return 3;
    default:
      return 4;
  }
}

} // namespace

// Refuses what RFC 3629 refuses: overlong forms, surrogates and numbers beyond U+10FFFF.
code_point decode(std::string_view text) {
  auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80)
    return {lead, 1};
  std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes)
    return {0xfffd, 1};
  char32_t value = lead & (0xff >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    auto c = static_cast<unsigned char>(text[i]);
    if ((c & 0xc0) != 0x80)
      return {0xfffd, 1};
    value = (value << 6) | (c & 0x3f);
  }
  constexpr char32_t min_values[] = {0x80, 0x800, 0x10000};
  if (value < min_values[bytes - 2] || (value >= 0xd800 && value < 0xe000) || value > 0x10ffff)
    return {0xfffd, 1};
  return {value, bytes};
}

script script_of(char32_t value) {
  struct range {
    char32_t first, last;
    script kind;
  };
  static constexpr range ranges[] = {
    {0x80, 0xbf, script::mark},       {0xd7, 0xd7, script::mark},       {0xf7, 0xf7, script::mark},
    {0xc0, 0x24f, script::latin},     {0x400, 0x52f, script::cyrillic}, {0x60c, 0x61f, script::mark},
    {0x600, 0x77f, script::arabic},   {0x24f, 0x10ff, script::letter},  {0x1100, 0x11ff, script::hangul},
    {0x1200, 0x1dff, script::letter}, {0x1e00, 0x1eff, script::latin},  {0x1f00, 0x1fff, script::letter},
    {0x3040, 0x30ff, script::kana},   {0x3400, 0x9fff, script::han},    {0xac00, 0xd7af, script::hangul},
    {0xf900, 0xfaff, script::han},    {0x20000, 0x323af, script::han},
  };
  if (value < 0x80)
    return ascii_script(static_cast<unsigned char>(value));
  for (const auto& r : ranges)
    if (value >= r.first && value <= r.last)
      return r.kind;
  return script::mark;
}

// A token depends only on what follows its first byte. So a text that was cut at a token's end goes on with the same
// tokens, which streams and the prompt cache rely on.
std::size_t first_token(std::string_view text) {
  auto first = decode(text);
  auto kind = script_of(first.value);
  auto end = first.bytes;
  if (kind == script::space) {
    while (end < text.size() && end < 16 && text[end] == text[0])
      ++end;
    if (end > 1 || text[0] != ' ' || end == text.size())
      return end;
    first = decode(text.substr(1)); // one space goes with the word after it
    kind = script_of(first.value);
    if (kind == script::space || kind == script::mark)
      return 1;
    end += first.bytes;
  }
  if (kind == script::mark || is_wide(kind))
    return end;
  for (auto left = token_length(kind) - 1; left > 0 && end < text.size(); --left) {
    auto next = decode(text.substr(end));
    if (script_of(next.value) != kind)
      break;
    end += next.bytes;
  }
  return end;
}

uint32_t count_tokens(std::string_view text) {
  uint32_t count = 0;
  for (; !text.empty(); ++count)
    text.remove_prefix(first_token(text));
  return count;
}

std::string_view looped_text::after(uint64_t offset) const {
  if (offset >= size_)
    return {};
  auto rest = std::string_view(round_).substr(offset % round_.size());
  return rest.substr(0, size_ - offset);
}

std::string looped_text::first(uint64_t max_bytes) const {
  std::string text;
  max_bytes = std::min(max_bytes, size_);
  for (text.reserve(max_bytes); text.size() < max_bytes;)
    text.append(after(text.size()).substr(0, max_bytes - text.size()));
  return text;
}

std::pair<uint64_t, uint32_t> looped_text::measure(uint32_t max_tokens) const {
  uint64_t bytes = 0;
  uint32_t tokens = 0;
  auto walk = [&](uint64_t end) {
    for (; tokens < max_tokens && bytes < end; ++tokens)
      bytes += first_token(after(bytes));
  };
  walk(std::min<uint64_t>(size_, round_.size()));
  if (!is_looped() || tokens == max_tokens)
    return {bytes, tokens};
  auto rounds =
    std::min<uint64_t>(size_ / round_.size(), max_tokens / tokens); // all alike: only the last is gone through
  bytes *= rounds;
  tokens *= static_cast<uint32_t>(rounds);
  walk(size_);
  return {bytes, tokens};
}

void looped_text::end_before(std::string_view words) {
  auto found = first(is_looped() ? round_.size() + words.size() : size_).find(words);
  if (found != std::string::npos)
    size_ = found;
}

void append_json(std::string& out, std::string_view text) {
  static constexpr char digits[] = "0123456789abcdef";
  out += '"';
  while (!text.empty()) {
    auto plain = std::find_if(text.begin(), text.end(),
                              [](unsigned char c) { return c < 0x20 || c >= 0x80 || c == '"' || c == '\\'; });
    out.append(text.begin(), plain);
    text.remove_prefix(static_cast<std::size_t>(plain - text.begin()));
    if (text.empty())
      break;
    auto point = decode(text);
    auto c = static_cast<unsigned char>(text[0]);
    if (point.value == 0xfffd)
      out += "\\ufffd";
    else if (c >= 0x80)
      out.append(text.substr(0, point.bytes));
    else if (c == '"' || c == '\\')
      out.append({'\\', static_cast<char>(c)});
    else if (c == '\n')
      out += "\\n";
    else
      out.append("\\u00").append({digits[c >> 4], digits[c & 15]});
    text.remove_prefix(point.bytes);
  }
  out += '"';
}

void append_number(std::string& out, uint64_t number) {
  char buffer[20];
  out.append(buffer, std::to_chars(buffer, buffer + sizeof(buffer), number).ptr);
}

std::string hex(uint64_t number, int digits) {
  std::string text(static_cast<std::size_t>(digits), '0');
  for (auto c = text.rbegin(); c != text.rend(); ++c, number >>= 4)
    *c = "0123456789abcdef"[number & 15];
  return text;
}

} // namespace modelforge::simulator
