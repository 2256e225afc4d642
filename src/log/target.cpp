#include "log/target.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace modelforge::log {

namespace {

constexpr int max_wait_ms = 1000;

/// The variable names the device and the inode of the descriptor that leads to the journal; who redirects that keeps
/// the variable.
bool leads_to_journal(int fd) {
  auto* told = std::getenv("JOURNAL_STREAM");
  struct stat here {};
  if (told == nullptr || fstat(fd, &here) != 0)
    return false;
  unsigned long long device = 0, inode = 0;
  return std::sscanf(told, "%llu:%llu", &device, &inode) == 2 && device == here.st_dev && inode == here.st_ino;
}

bool is_regular(int fd) {
  struct stat here {};
  return fstat(fd, &here) == 0 && S_ISREG(here.st_mode);
}

/// Without waiting at the opening of a pipe that nobody reads, nor later.
int open_file(const std::string& path) {
  return ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
}

std::string cannot_open(const std::string& path) {
  return "cannot open " + path + ": " + std::strerror(errno);
}

/// What a pipe or a terminal takes at once and without blocking: whole lines, where they are not too long, since others
/// may write there, too.
std::size_t piece_of(std::string_view text) {
  if (text.size() <= PIPE_BUF)
    return text.size();
  auto end = text.substr(0, PIPE_BUF).rfind('\n');
  return end != text.npos ? end + 1 : std::size_t{PIPE_BUF};
}

/// How much of it went out; less than all where an error, then in `errno`, stopped it. What is no file may block: it
/// gets no more than it surely takes.
std::size_t write_some(int fd, std::string_view text) {
  auto is_file = is_regular(fd);
  std::size_t done = 0;
  while (done < text.size()) {
    if (pollfd ready{fd, POLLOUT, 0}; ::poll(&ready, 1, max_wait_ms) == 0) {
      errno = ETIMEDOUT;
      break;
    }
    auto left = text.substr(done);
    auto n = ::write(fd, left.data(), is_file ? left.size() : piece_of(left));
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
      continue;
    if (n <= 0)
      break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

} // namespace

std::variant<target, std::string> target::open(const std::string& sink) {
  target result{sink};
  if (result.is_stderr()) {
    result.is_journal_ = leads_to_journal(STDERR_FILENO);
  } else if (!result.is_none()) {
    result.file_ = base::file{open_file(sink)};
    if (result.file_.get() < 0)
      return cannot_open(sink);
  }
  return result;
}

int target::descriptor() const {
  return is_stderr() ? STDERR_FILENO : file_.get();
}

std::optional<std::string> target::write(std::string_view lines) {
  if (is_none() || lines.empty())
    return {};
  if (is_torn_ && write_some(descriptor(), "\n") == 0)
    return "cannot write " + sink_ + ": " + std::strerror(errno);
  is_torn_ = false;
  auto done = write_some(descriptor(), lines);
  if (done == lines.size())
    return {};
  auto error = errno;
  is_torn_ = done > 0 && lines[done - 1] != '\n';
  return "cannot write " + sink_ + ": " + std::strerror(error);
}

std::optional<std::string> target::reopen() {
  if (is_none() || is_stderr())
    return {};
  base::file fresh{open_file(sink_)};
  if (fresh.get() < 0)
    return cannot_open(sink_);
  file_ = std::move(fresh);
  is_torn_ = false;
  return {};
}

void say_aside(const std::string& text) {
  if (pollfd ready{STDERR_FILENO, POLLOUT, 0}; ::poll(&ready, 1, 0) == 1)
    static_cast<void>(!::write(STDERR_FILENO, text.data(), std::min<std::size_t>(text.size(), PIPE_BUF)));
}

} // namespace modelforge::log
