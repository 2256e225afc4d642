#pragma once

#include "base/text_encoding.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>

namespace modelforge {

/// The content of a file.
struct file_text {
  std::string text;
};

/// What editors of one system put in front of a text in UTF-8: it says nothing, and readers drop it.
inline constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

/// Reads a whole file of at most `limit` bytes. A string is the reason for failure, e.g. "no such file or directory".
std::variant<file_text, std::string> read_file(const std::string& path, std::size_t limit);

} // namespace modelforge
