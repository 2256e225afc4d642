#include "tools/chat/conversation_store.hpp"

#include "base/ascii.hpp"
#include "base/file.hpp"
#include "config/read_file.hpp"
#include "config/schema.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

namespace modelforge::chat {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view ending = ".md";
constexpr std::size_t largest_file = std::size_t{256} << 20;
constexpr std::size_t head_size = std::size_t{64} << 10; // the mark stands in the first lines
constexpr std::size_t longest_name = 80;
constexpr std::size_t longest_slug = 40;

std::string reason() {
  return std::strerror(errno);
}

bool is_name_character(char c) {
  return ascii::is_alnum(c) || c == '-' || c == '_' || c == '.';
}

/// "Why is the sky blue?" as "why-is-the-sky-blue".
std::string slug_of(std::string_view title) {
  std::string result;
  for (auto c : title)
    if (ascii::is_alnum(c))
      result += ascii::lower(c);
    else if (!result.empty() && result.back() != '-' && c != '\'')
      result += '-';
  if (result.size() > longest_slug) { // at the end of a word, if there is one
    auto end = result.rfind('-', longest_slug);
    result.resize(end == result.npos ? longest_slug : end);
  }
  while (result.ends_with('-'))
    result.pop_back();
  return result;
}

/// Holds the folder for this process, so that none comes between looking and writing.
class folder_lock {
public:
  explicit folder_lock(const std::string& folder) : file_{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)} {
    while (file_.get() >= 0 && ::flock(file_.get(), LOCK_EX) != 0 && errno == EINTR) {
    }
  }

private:
  base::file file_;
};

bool exists(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0;
}

/// Writes all of it into a new file, and to the disk.
bool write_draft(const std::string& path, std::string_view text) {
  base::file file{::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (file.get() < 0 || ::fchmod(file.get(), 0600) != 0)
    return false;
  return base::write_all(file.get(), text) && ::fsync(file.get()) == 0 && file.close();
}

/// Replaces the file whole, or leaves it as it was.
std::string write_whole(const std::string& path, std::string_view text) {
  auto draft = path + ".new";
  if (write_draft(draft, text) && std::rename(draft.c_str(), path.c_str()) == 0)
    return {};
  auto problem = "cannot write " + path + ": " + reason();
  ::unlink(draft.c_str());
  return problem;
}

/// Makes the folder, for the user alone.
std::string make_folder(const std::string& folder) {
  if (folder.empty())
    return "there is no place to keep conversations: none of STATE_DIRECTORY, XDG_STATE_HOME and HOME names a folder";
  std::error_code problem;
  fs::create_directories(fs::path{folder}.parent_path(), problem);
  if (!problem && ::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    problem.assign(errno, std::generic_category());
  if (!problem)
    fs::permissions(folder, fs::perms::owner_all, problem);
  return problem ? "cannot write " + folder + ": " + problem.message() : "";
}

/// Whether a file's beginning lacks the mark of conversations. One that cannot be read may be one: `load` says why.
bool is_foreign(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  std::string beginning(head_size, '\0');
  if (!file || file.read(beginning.data(), static_cast<std::streamsize>(head_size)).bad())
    return false;
  beginning.resize(static_cast<std::size_t>(file.gcount()));
  return !is_marked(beginning);
}

std::chrono::system_clock::time_point changed_at(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0)
    return {};
  auto since = std::chrono::seconds{info.st_mtim.tv_sec} + std::chrono::nanoseconds{info.st_mtim.tv_nsec};
  return std::chrono::system_clock::time_point{std::chrono::duration_cast<std::chrono::system_clock::duration>(since)};
}

} // namespace

std::vector<conversation_file> conversation_store::list(std::vector<std::string>* others) const {
  std::vector<conversation_file> result;
  std::error_code problem;
  for (auto file = fs::directory_iterator{folder_, problem}; !problem && file != fs::directory_iterator{};
       file.increment(problem)) {
    auto name = file->path().filename().string();
    std::error_code gone; // deleted since
    if (!name.ends_with(ending) || name.starts_with('.') || !file->is_regular_file(gone))
      continue;
    name.resize(name.size() - ending.size());
    if (is_foreign(path_of(name))) {
      if (others != nullptr)
        others->push_back(path_of(name));
      continue;
    }
    result.push_back({name, path_of(name), changed_at(path_of(name))});
  }
  std::sort(result.begin(), result.end(),
            [](auto& x, auto& y) { return x.changed != y.changed ? x.changed > y.changed : x.name > y.name; });
  return result;
}

std::variant<conversation, std::string> conversation_store::load(const std::string& name,
                                                                 kept_conversation& kept) const {
  auto path = path_of(name);
  auto content = read_file(path, largest_file);
  if (auto* problem = std::get_if<std::string>(&content))
    return path + " cannot be read: " + *problem;
  auto& text = std::get<file_text>(content).text;
  auto result = read(text);
  if (auto* problem = std::get_if<std::string>(&result))
    return path + " " + *problem;
  kept = {name, std::move(text)};
  return result;
}

std::variant<save_result, std::string> conversation_store::save(const conversation& x, kept_conversation& kept,
                                                                const std::string& day,
                                                                const std::string& wanted) const {
  auto text = write(x);
  if (auto problem = make_folder(folder_); !problem.empty())
    return problem;
  folder_lock lock{folder_};
  auto name = kept.name;
  auto result = save_result::saved;
  if (!name.empty()) {
    auto now = read_file(path_of(name), largest_file);
    if (!exists(path_of(name)))
      return save_result::deleted;
    if (auto* found = std::get_if<file_text>(&now); found == nullptr || found->text != kept.text)
      result = save_result::saved_beside;
  } else if (!wanted.empty()) {
    name = wanted;
  } else {
    auto slug = slug_of(title_of(x));
    name = slug.empty() ? day : day + "-" + slug;
  }
  if (kept.name.empty() || result == save_result::saved_beside) {
    auto free = name;
    for (int i = 2; exists(path_of(free)); ++i)
      free = name + "-" + std::to_string(i);
    name = free;
  }
  if (auto problem = write_whole(path_of(name), text); !problem.empty())
    return problem;
  kept = {name, std::move(text)};
  return result;
}

std::string conversation_store::rename(kept_conversation& kept, const std::string& name) const {
  if (auto problem = name_problem(name); !problem.empty())
    return problem;
  folder_lock lock{folder_};
  if (exists(path_of(name)))
    return "there is a conversation \"" + name + "\" already";
  if (std::rename(path_of(kept.name).c_str(), path_of(name).c_str()) != 0)
    return "cannot rename " + path_of(kept.name) + ": " + reason();
  kept.name = name;
  return {};
}

std::string conversation_store::remove(const std::string& name) const {
  folder_lock lock{folder_};
  return ::unlink(path_of(name).c_str()) == 0 ? "" : "cannot delete " + path_of(name) + ": " + reason();
}

std::string name_problem(std::string_view name) {
  if (name.empty() || name.size() > longest_name || name.starts_with('.') || name.starts_with('-')
      || !ascii::all(name, is_name_character))
    return "\"" + std::string{name}
           + "\" cannot be the name of a conversation: letters, digits, \"-\", \"_\" and \".\", at most "
           + std::to_string(longest_name) + " of them, the first one not \"-\" or \".\"";
  return {};
}

name_search find_name(std::string_view wanted, const std::vector<conversation_file>& among) {
  std::vector<std::string_view> names, parts;
  for (auto& file : among) {
    if (file.name == wanted)
      return {file.name, ""};
    names.push_back(file.name);
    if (ascii::icontains(file.name, wanted))
      parts.push_back(file.name);
  }
  if (parts.size() == 1)
    return {std::string{parts.front()}, ""};
  auto problem = "there is no conversation \"" + std::string{wanted} + "\"";
  if (parts.empty()) {
    if (auto best = schema::closest(wanted, names); !best.empty())
      return {"", problem + "; did you mean " + std::string{best} + "?"};
    return {"", problem + "; `modelforge history` lists them"};
  }
  problem = "several conversations have \"" + std::string{wanted} + "\" in their names: ";
  for (std::size_t i = 0; i < std::min(parts.size(), std::size_t{5}); ++i)
    problem += (i > 0 ? ", " : "") + std::string{parts[i]};
  return {"", problem + (parts.size() > 5 ? ", ..." : "")};
}

} // namespace modelforge::chat
