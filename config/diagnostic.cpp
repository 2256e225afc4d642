#include "config/diagnostic.hpp"

#include "base/ascii.hpp"
#include "config/names.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <functional>

namespace modelforge {

namespace {

constexpr std::size_t max_shown = 160; // bytes of a line

bool continues_character(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), std::not_fn(continues_character)));
}

bool is_name_char(char c) {
  return ascii::is_letter(c) || ascii::is_digit(c) || c == '_' || c == '-';
}

/// Bytes of the control character that `text` begins with, or 0. In UTF-8 those from U+0080 to U+009F take two, the
/// second of which is the number itself.
std::size_t control_size(std::string_view text) {
  auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0xffu; };
  if (byte(0) < 0x20 || byte(0) == 0x7f)
    return 1;
  return byte(0) == 0xc2 && byte(1) >= 0x80 && byte(1) < 0xa0 ? 2 : 0;
}

/// The name that ends before `pos`, an assignment's "=".
std::string_view name_before(std::string_view line, std::size_t pos) {
  auto is_gap = [](char c) { return c == ' ' || c == '\t' || c == '"' || c == '\''; };
  while (pos > 0 && is_gap(line[pos - 1]))
    --pos;
  auto end = pos;
  while (pos > 0 && is_name_char(line[pos - 1]))
    --pos;
  return line.substr(pos, end - pos);
}

/// Masks what is assigned to names of credentials, however broken the line is.
std::string mask_assignments(std::string_view line) {
  std::string result;
  for (std::size_t pos = 0; pos < line.size(); ++pos) {
    result += line[pos];
    if (line[pos] != '=' || !names_credential(name_before(line, pos)))
      continue;
    auto start = line.find_first_not_of(" \t", pos + 1);
    if (start == std::string_view::npos || line[start] == '{')
      continue;
    auto quote = line[start] == '"' || line[start] == '\'';
    // The last quote of the line, not the next: that one may be escaped, or open a text of several lines.
    auto end = quote ? line.rfind(line[start]) : line.find_first_of(" \t,}#", start);
    if (end == start || end == std::string_view::npos)
      end = line.size();
    result += line.substr(pos + 1, start + quote - pos - 1);
    result += "***";
    pos = end - 1;
  }
  return result;
}

/// A line as it may be shown: without credentials, known or by their looks, and without what a terminal would obey.
std::string masked(std::string_view line, const std::vector<std::string>& hidden) {
  std::string text{line};
  for (const auto& word : hidden)
    for (auto pos = text.find(word); !word.empty() && pos != std::string::npos; pos = text.find(word, pos + 3))
      text.replace(pos, word.size(), "***");
  text = redact(mask_assignments(text));
  std::string result;
  for (std::size_t pos = 0; pos < text.size();) {
    auto size = control_size(std::string_view{text}.substr(pos));
    result += size == 0 ? text[pos] : text[pos] == '\t' ? ' ' : '?';
    pos += std::max<std::size_t>(size, 1);
  }
  return result;
}

} // namespace

std::string code(std::string_view text) {
  return '`' + std::string{text} + '`';
}

// In UTF-8 the control characters from U+0080 on take two bytes, which terminals obey as well.
std::string printable(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    auto size = control_size(text);
    if (size == 0) {
      result += text.front();
    } else {
      std::array<char, 8> escape{};
      std::snprintf(escape.data(), escape.size(), "\\u%04X", static_cast<unsigned char>(text[size - 1]));
      result += escape.data();
    }
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return result;
}

std::string seconds_text(duration time) {
  std::array<char, 32> text{};
  auto end = std::to_chars(text.data(), text.data() + text.size(), std::chrono::duration<double>{time}.count()).ptr;
  return std::string{text.data(), end} + " s";
}

// The caret's place is measured by masking what is before it: masks are shorter or longer than what they hide.
void show_line(diagnostic& shown, std::string_view line, const std::vector<std::string>& hidden) {
  shown.source_line = masked(line, hidden);
  auto before = masked(line.substr(0, shown.column > 0 ? shown.column - 1 : 0), hidden);
  auto caret = std::min(before.size(), shown.source_line.size());
  if (!std::equal(before.begin(), before.begin() + static_cast<std::ptrdiff_t>(caret), shown.source_line.begin()))
    caret = static_cast<std::size_t>(
      std::mismatch(before.begin(), before.end(), shown.source_line.begin(), shown.source_line.end()).first
      - before.begin());
  if (shown.source_line.size() > max_shown) {
    auto begin = caret > max_shown / 2 ? caret - max_shown / 2 : 0;
    while (begin > 0 && continues_character(shown.source_line[begin]))
      --begin;
    auto end = std::min(begin + max_shown, shown.source_line.size());
    while (end < shown.source_line.size() && continues_character(shown.source_line[end]))
      ++end;
    shown.source_line = shown.source_line.substr(begin, end - begin);
    caret -= begin;
  }
  shown.caret = static_cast<uint32_t>(characters(std::string_view{shown.source_line}.substr(0, caret)) + 1);
}

std::string to_string(const diagnostic& shown) {
  auto result = shown.file;
  if (shown.line > 0)
    result += ':' + std::to_string(shown.line) + ':' + std::to_string(shown.column);
  result += ": " + to_string(shown.level) + ": " + shown.message + '\n';
  if (!shown.source_line.empty())
    result += "  " + shown.source_line + "\n  " + std::string(std::max<uint32_t>(shown.caret, 1) - 1, ' ') + "^\n";
  if (!shown.hint.empty())
    result += "  " + shown.hint + '\n';
  return result;
}

} // namespace modelforge
