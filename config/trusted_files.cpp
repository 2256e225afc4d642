#include "config/trusted_files.hpp"

#include "base/file.hpp"
#include "base/hex.hpp"
#include "config/read_file.hpp"
#include "config/state_folder.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace modelforge {

namespace {

/// The one name of a file, however it was reached.
std::string whole_path(const std::string& path) {
  std::error_code ignored;
  auto whole = std::filesystem::weakly_canonical(path, ignored);
  return ignored ? path : whole.string();
}

/// The name under which a path's content is remembered: FNV-1a. Two paths may share one; then the later confirmation
/// takes the place of the earlier one, since the path stands in the file as well.
std::string name_for(std::string_view path) {
  uint64_t sum = 14695981039346656037u;
  for (unsigned char c : path)
    sum = (sum ^ c) * 1099511628211u;
  return hex::digits_of(sum) + ".toml";
}

/// What is written: the path, behind its length so that no content can pass for part of it, and the content.
std::string memory_of(std::string_view path, std::string_view text) {
  return "# " + std::to_string(path.size()) + ' ' + std::string{path} + '\n' + std::string{text};
}

/// Whether the user's own file there has just this content.
bool holds(const std::string& path, std::string_view expected) {
  base::file file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
  struct stat info {};
  if (file.get() < 0 || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode) || info.st_uid != ::geteuid()
      || static_cast<std::size_t>(info.st_size) != expected.size())
    return false;
  std::string text(expected.size(), '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    auto n = ::read(file.get(), text.data() + size, text.size() - size);
    if (n <= 0 && !(n < 0 && errno == EINTR))
      return false;
    size += n > 0 ? static_cast<std::size_t>(n) : 0;
  }
  return text == expected;
}

bool write_whole(const std::string& path, std::string_view text) {
  base::file file{::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600)};
  return file.get() >= 0 && base::write_all(file.get(), text) && file.close();
}

} // namespace

trusted_files::trusted_files(const environment& env) : folder_{default_state_folder(env)} {
  if (!folder_.empty())
    folder_ += "/trusted";
}

bool trusted_files::contains(const std::string& path, std::string_view text) const {
  auto whole = whole_path(path);
  return !folder_.empty() && holds(folder_ + '/' + name_for(whole), memory_of(whole, text));
}

// By way of a draft: a crash leaves the old confirmation or the new one.
std::optional<std::string> trusted_files::add(const std::string& path, std::string_view text) const {
  if (folder_.empty())
    return "there is no place to remember it: neither HOME nor XDG_STATE_HOME is set; name the file with -c instead";
  std::error_code problem;
  std::filesystem::create_directories(folder_, problem);
  if (!problem)
    std::filesystem::permissions(folder_, std::filesystem::perms::owner_all, problem);
  if (problem)
    return "cannot write " + folder_ + ": " + problem.message() + "; name the file with -c instead";
  auto whole = whole_path(path);
  auto place = folder_ + '/' + name_for(whole);
  auto draft = place + ".new";
  if (!write_whole(draft, memory_of(whole, text)) || std::rename(draft.c_str(), place.c_str()) != 0)
    return "cannot write " + place + ": " + std::strerror(errno) + "; name the file with -c instead";
  return {};
}

// The path stands in the first line, behind its length; the content behind it.
std::vector<trusted_files::entry> trusted_files::list(const std::string& folder) {
  constexpr std::size_t largest = 16u << 20;
  std::vector<entry> result;
  std::error_code problem;
  for (std::filesystem::directory_iterator each{folder, problem}, end; !problem && each != end;
       each.increment(problem)) {
    if (each->path().extension() != ".toml")
      continue;
    entry found{each->path().string(), {}, false};
    auto content = read_file(found.place, largest);
    auto* kept = std::get_if<file_text>(&content);
    std::size_t size = 0;
    int begin = 0;
    if (kept != nullptr && std::sscanf(kept->text.c_str(), "# %zu %n", &size, &begin) == 1 && size < kept->text.size())
      found.path = kept->text.substr(static_cast<std::size_t>(begin), size);
    auto now = read_file(found.path, largest);
    if (auto* text = std::get_if<file_text>(&now); text != nullptr && kept != nullptr)
      found.is_in_force = kept->text == memory_of(found.path, text->text);
    result.push_back(std::move(found));
  }
  return result;
}

bool trusted_files::remove(const std::string& path) const {
  return !folder_.empty() && ::unlink((folder_ + '/' + name_for(whole_path(path))).c_str()) == 0;
}

} // namespace modelforge
