#include "tools/chat/input_history.hpp"

#include "base/ascii.hpp"
#include "base/file.hpp"
#include "config/read_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>
#include <variant>

namespace modelforge::chat {

namespace {

constexpr std::size_t largest_history = std::size_t{64} << 20;

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> result;
  while (!text.empty()) {
    auto end = std::min(text.find('\n'), text.size());
    if (end > 0)
      result.push_back(unescaped_input(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return result;
}

/// Appends in one call, so that lines of several sessions do not mix.
void append(const std::string& path, const std::string& text) {
  base::file file{::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (file.get() < 0 || ::flock(file.get(), LOCK_SH) != 0 || ::fchmod(file.get(), 0600) != 0)
    return;
  static_cast<void>(!::write(file.get(), text.data(), text.size()));
}

/// Writes the newest inputs alone, in place, so that who appends meanwhile has the same file.
void cut_down(const std::string& path, const std::vector<std::string>& inputs) {
  base::file file{::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW)};
  if (file.get() < 0 || ::flock(file.get(), LOCK_EX | LOCK_NB) != 0 || ::ftruncate(file.get(), 0) != 0)
    return;
  std::string text;
  for (auto& input : inputs)
    text += escaped_input(input) + "\n";
  base::write_all(file.get(), text);
}

} // namespace

std::string escaped_input(std::string_view input) {
  std::string result;
  for (auto c : input)
    if (c == '\n')
      result += "\\n";
    else if (c == '\\')
      result += "\\\\";
    else
      result += c;
  return result;
}

std::string unescaped_input(std::string_view line) {
  std::string result;
  for (std::size_t i = 0; i < line.size(); ++i)
    if (line[i] == '\\' && i + 1 < line.size()) {
      ++i;
      result += line[i] == 'n' ? '\n' : line[i];
    } else {
      result += line[i];
    }
  return result;
}

input_history::input_history(std::string path) : path_(std::move(path)) {
  if (path_.empty())
    return;
  auto content = read_file(path_, largest_history);
  auto* text = std::get_if<file_text>(&content);
  if (text == nullptr)
    return;
  inputs_ = lines_of(text->text);
  auto count = inputs_.size();
  if (count > max_inputs)
    inputs_.erase(inputs_.begin(), inputs_.end() - static_cast<std::ptrdiff_t>(max_inputs));
  if (count > 2 * max_inputs)
    cut_down(path_, inputs_);
}

bool input_history::add(std::string_view input) {
  if (ascii::trim(input).empty() || input.starts_with(' ') || (!inputs_.empty() && inputs_.back() == input))
    return false;
  inputs_.emplace_back(input);
  if (path_.empty())
    return true;
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path{path_}.parent_path(), ignored);
  append(path_, escaped_input(input) + "\n");
  return true;
}

} // namespace modelforge::chat
