#include "tools/cli/standard_input.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <poll.h>
#include <set>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace modelforge::cli {

namespace {

namespace fs = std::filesystem;
using input_clock = std::chrono::steady_clock;

input_clock::time_point time_in(double seconds) {
  return input_clock::now() + std::chrono::duration_cast<input_clock::duration>(std::chrono::duration<double>(seconds));
}

/// Waits until there is something to read, or the end of it; false when `until` may have come.
bool wait_for_input(input_clock::time_point until) {
  auto left = std::chrono::ceil<std::chrono::milliseconds>(until - input_clock::now()).count();
  pollfd source{STDIN_FILENO, POLLIN, 0};
  auto ready = poll(&source, 1, static_cast<int>(std::clamp<int64_t>(left, 0, 3'600'000)));
  return ready > 0 || (ready < 0 && errno != EINTR); // what is wrong with it `read` says
}

std::string seconds_text(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%g s", seconds);
  return text;
}

/// The process that started another one; 0 where that cannot be told.
int parent_of(int process) {
  std::ifstream file{"/proc/" + std::to_string(process) + "/stat"};
  std::string text{std::istreambuf_iterator<char>{file}, {}};
  int parent = 0; // "PID (NAME) STATE PARENT ...", where the name may hold anything
  if (auto name_end = text.rfind(')'); name_end != text.npos)
    std::sscanf(text.c_str() + name_end + 1, " %*c %d", &parent);
  return parent;
}

/// This process and all that it descends from.
std::set<int> own_line() {
  std::set<int> result;
  for (auto process = static_cast<int>(getpid()); process > 0 && result.insert(process).second;)
    process = parent_of(process);
  return result;
}

/// Whether a process has this pipe open for writing.
bool writes_to(const fs::path& process, const struct stat& pipe) {
  std::error_code error;
  for (auto file = fs::directory_iterator{process / "fd", error}; !error && file != fs::directory_iterator{};
       file.increment(error)) {
    struct stat is {
    }, link{};
    if (stat(file->path().c_str(), &is) == 0 && is.st_ino == pipe.st_ino && is.st_dev == pipe.st_dev
        && lstat(file->path().c_str(), &link) == 0 && (link.st_mode & S_IWUSR) != 0)
      return true;
  }
  return false;
}

/// Whether a process beside this one, none that it descends from, writes to standard input: then the two are parts of a
/// pipeline, and something will come.
bool is_in_pipeline() {
  struct stat pipe {};
  if (fstat(STDIN_FILENO, &pipe) != 0 || !S_ISFIFO(pipe.st_mode))
    return false;
  auto own = own_line();
  std::error_code error;
  for (auto process = fs::directory_iterator{"/proc", error}; !error && process != fs::directory_iterator{};
       process.increment(error)) {
    auto name = process->path().filename().string();
    int id = 0;
    auto [end, bad] = std::from_chars(name.data(), name.data() + name.size(), id);
    if (bad == std::errc{} && end == name.data() + name.size() && !own.contains(id) && writes_to(process->path(), pipe))
      return true;
  }
  return false;
}

/// Decides on an input from which nothing has come yet, and says so; false: it is not worth waiting for.
bool is_worth_waiting(const input_patience& patience) {
  if (patience.only_pipelines && !is_in_pipeline()) {
    std::fprintf(
      stderr,
      "modelforge: warning: standard input is open, but nothing came from it within %s: going on without it. "
      "`--file -` waits for it, `< /dev/null` behind the command saves this wait\n",
      seconds_text(idle_input).c_str());
    return false;
  }
  if (standard_input_kind() != input_kind::terminal) // who types knows
    std::fputs("modelforge: waiting for standard input, to which nothing has been written yet\n", stderr);
  return true;
}

} // namespace

input_kind standard_input_kind() {
  struct stat is {};
  if (fstat(STDIN_FILENO, &is) != 0)
    return input_kind::nothing;
  if (isatty(STDIN_FILENO) != 0)
    return input_kind::terminal;
  if (S_ISREG(is.st_mode))
    return input_kind::file;
  return S_ISFIFO(is.st_mode) || S_ISSOCK(is.st_mode) ? input_kind::pipe : input_kind::nothing;
}

std::variant<input_text, std::string> read_standard_input(std::size_t limit, const input_patience& patience) {
  auto end = patience.timeout ? time_in(*patience.timeout) : input_clock::time_point::max();
  auto idle = time_in(idle_input);
  auto is_first = true; // nothing has come, nor has that been told
  std::string text;
  for (char buffer[1 << 16];;) {
    if (!wait_for_input(is_first ? std::min(idle, end) : end)) {
      auto now = input_clock::now();
      if (now >= end)
        return "did not end within " + seconds_text(*patience.timeout) + " (--timeout); nothing was sent";
      if (now >= idle && std::exchange(is_first, false) && !is_worth_waiting(patience))
        return input_text{};
      continue;
    }
    auto n = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (n == 0)
      return input_text{std::move(text)};
    if (n < 0 && errno != EINTR && errno != EAGAIN)
      return std::string{"cannot be read: "} + std::strerror(errno);
    if (n < 0)
      continue;
    is_first = false;
    if (text.size() + static_cast<std::size_t>(n) > limit)
      return "is larger than " + std::to_string(limit >> 20) + " MiB; nothing was sent";
    text.append(buffer, static_cast<std::size_t>(n));
  }
}

} // namespace modelforge::cli
