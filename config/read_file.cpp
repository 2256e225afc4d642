#include "config/read_file.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

namespace modelforge {

// One byte more than the limit is asked for, so that a file that is too long is noticed whatever `stat` would say: it
// may be a pipe, or grow.
std::variant<file_text, std::string> read_file(const std::string& path, std::size_t limit) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored))
    return "it is a directory";
  auto close = [](std::FILE* file) { std::fclose(file); };
  std::unique_ptr<std::FILE, decltype(close)> file{std::fopen(path.c_str(), "rb"), close};
  if (!file)
    return std::string{std::strerror(errno)};
  std::setvbuf(file.get(), nullptr, _IONBF, 0); // a buffer would keep what may be a key
  file_text result;
  result.text.resize(limit + 1);
  auto size = std::fread(result.text.data(), 1, result.text.size(), file.get());
  if (std::ferror(file.get()))
    return std::string{std::strerror(errno)};
  if (size > limit)
    return "it is longer than " + std::to_string(limit) + " bytes";
  result.text.resize(size);
  return result;
}

} // namespace modelforge
