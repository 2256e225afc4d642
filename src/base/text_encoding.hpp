#pragma once

#include <string_view>

namespace modelforge {

/// What editors of one system put in front of a text in UTF-8: it says nothing, and readers drop it.
inline constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

/// The text behind its byte order mark, if it has one.
constexpr std::string_view without_mark(std::string_view text) {
  return text.substr(text.starts_with(byte_order_mark) ? byte_order_mark.size() : 0);
}

/// Names the encoding of a text's beginning, "UTF-16" or "UTF-32", which nothing here reads: by its own mark, or by the
/// bytes of its characters that are 0. Empty: it is neither.
constexpr std::string_view foreign_encoding(std::string_view text) {
  using namespace std::string_view_literals;
  if (text.starts_with("\xFF\xFE\0\0"sv) || text.starts_with("\0\0"sv)
      || (!text.empty() && text.substr(1).starts_with("\0\0"sv)))
    return "UTF-32";
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF") || text.starts_with('\0')
      || (text.size() > 1 && text[1] == '\0'))
    return "UTF-16";
  return {};
}

} // namespace modelforge
