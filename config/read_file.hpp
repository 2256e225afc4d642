#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>

namespace modelforge {

/// The content of a file.
struct file_text {
  std::string text;
};

/// Reads a whole file of at most `limit` bytes. A string is the reason for failure, e.g. "no such file or directory".
std::variant<file_text, std::string> read_file(const std::string& path, std::size_t limit);

} // namespace modelforge
