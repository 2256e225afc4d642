#pragma once

#include <cstddef>
#include <string_view>

namespace modelforge {

/// What editors of one system put in front of a text in UTF-8: it says nothing, and readers drop it.
inline constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

/// The text behind its byte order mark, if it has one.
constexpr std::string_view without_mark(std::string_view text) {
  return text.substr(text.starts_with(byte_order_mark) ? byte_order_mark.size() : 0);
}

/// Names the encoding of a text's beginning, or of its first line, "UTF-16" or "UTF-32", which nothing here reads: by
/// its own mark, or by the bytes of its first two characters that are 0. Empty: it is neither. A text that merely holds
/// a NUL is none.
constexpr std::string_view foreign_encoding(std::string_view text) {
  using namespace std::string_view_literals;
  auto is_zero = [text](std::size_t at) { return at < text.size() && text[at] == '\0'; };
  auto alternates = [&](std::size_t zero) { // a letter, a zero, and so on
    auto does = true;
    for (std::size_t at = 0; at < 4 && at < text.size(); ++at)
      does = does && is_zero(at) == (at % 2 == zero);
    return does;
  };
  if (text.starts_with("\xFF\xFE\0\0"sv) || text.starts_with("\0\0\xFE\xFF"sv)
      || (is_zero(1) && is_zero(2) && (is_zero(0) || is_zero(3))))
    return "UTF-32";
  auto is_whole = text.size() >= 4 || text.size() == 2; // else it may be a text of three letters
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF") || (is_whole && alternates(1))
      || (!text.empty() && alternates(0)))
    return "UTF-16";
  return {};
}

/// Names the form of a file that is no text, by its first bytes: what data is often packed into. Empty: it is none.
constexpr std::string_view packed_form(std::string_view text) {
  struct form {
    std::string_view mark, name;
  };
  using namespace std::string_view_literals;
  constexpr form forms[] = {{"\x1F\x8B"sv, "gzip"},    {"\x28\xB5\x2F\xFD"sv, "zstd"},
                            {"\xFD\x37zXZ\0"sv, "xz"}, {"PK\x03\x04"sv, "a ZIP archive or an office document"},
                            {"%PDF-"sv, "a PDF"},      {"SQLite format 3\0"sv, "SQLite"}};
  for (auto& x : forms)
    if (text.starts_with(x.mark))
      return x.name;
  return {};
}

/// The number of the line, from 1, in which a text has its first NUL, a character that no text has; 0: none.
constexpr std::size_t line_of_nul(std::string_view text) {
  auto at = text.find('\0');
  std::size_t line = 1;
  for (auto c : text.substr(0, at))
    line += c == '\n';
  return at == text.npos ? 0 : line;
}

} // namespace modelforge
