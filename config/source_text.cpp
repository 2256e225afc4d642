#include "config/source_text.hpp"

#include "base/utf8.hpp"

#include <algorithm>

namespace modelforge {

namespace {

constexpr std::size_t max_line = 4096; // also bounds how deep dotted keys nest
constexpr std::size_t max_depth = 64;  // of brackets

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> result;
  while (true) {
    auto end = text.find('\n');
    auto line = text.substr(0, end);
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    result.push_back(line);
    if (end == std::string_view::npos)
      return result;
    text.remove_prefix(end + 1);
  }
}

// TOML has no control characters, but the parser never returns from one in a comment.
bool is_forbidden_control(char c) {
  return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
}

} // namespace

source_text::source_text(std::string_view text) : text_{text}, lines_{split_lines(text)} {}

std::string_view source_text::line(uint32_t number) const {
  return number > 0 && number <= lines_.size() ? lines_[number - 1] : std::string_view{};
}

std::vector<problem> source_text::check_bytes() {
  if (auto valid = utf8::valid_length(text_); valid < text_.size())
    return {replace_invalid_line(valid)};
  std::vector<problem> found;
  std::size_t depth = 0;
  uint32_t number = 0;
  for (auto line : lines_) {
    ++number;
    if (auto c = std::find_if(line.begin(), line.end(), is_forbidden_control); c != line.end())
      found.push_back({{number, static_cast<uint32_t>(c - line.begin()) + 1}, "there is a control character", ""});
    if (line.size() > max_line)
      found.push_back({{number, max_line + 1}, "the line is longer than " + std::to_string(max_line) + " bytes", ""});
    for (char c : line) {
      depth += c == '[' || c == '{';
      depth -= (c == ']' || c == '}') && depth > 0;
    }
    if (depth > max_depth) {
      found.push_back({{number, 1}, "brackets are nested too deeply", ""});
      break;
    }
  }
  return found;
}

problem source_text::replace_invalid_line(std::size_t position) {
  auto before = text_.substr(0, position);
  auto index = static_cast<uint32_t>(std::count(before.begin(), before.end(), '\n'));
  auto column = static_cast<uint32_t>(position - (before.rfind('\n') + 1)) + 1;
  replacement_ = lines_[index];
  std::replace_if(
    replacement_.begin(), replacement_.end(), [](char c) { return static_cast<unsigned char>(c) > 0x7f; }, '?');
  lines_[index] = replacement_;
  return {{index + 1, column}, "the file is not UTF-8", "save it as UTF-8"};
}

} // namespace modelforge
