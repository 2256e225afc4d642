#include "batch/output_file.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cstdio>
#include <ctime>
#include <filesystem>

namespace modelforge::batch {

namespace {

/// While it lives, a write to a closed pipe fails with EPIPE instead of ending the process.
class no_sigpipe {
public:
  no_sigpipe() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }

  ~no_sigpipe() {
    auto reason = errno;
    timespec at_once{};
    if (!was_pending_)
      while (sigtimedwait(&pipe_, nullptr, &at_once) == -1 && errno == EINTR)
        ;
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    errno = reason;
  }

  no_sigpipe(const no_sigpipe&) = delete;
  no_sigpipe& operator=(const no_sigpipe&) = delete;

private:
  sigset_t pipe_;
  sigset_t before_;
  bool was_pending_;
};

/// The file that a link leads to, whether it is there yet or not; for anything else the path as it was given.
std::string end_of_links(const std::string& path) {
  constexpr int max_links = 40; // as the kernel's; a circle fails when it is opened
  std::filesystem::path result{path};
  std::error_code error;
  for (int i = 0; i < max_links && std::filesystem::is_symlink(result, error); ++i) {
    auto target = std::filesystem::read_symlink(result, error);
    if (error)
      break;
    result = target.is_absolute() ? target : result.parent_path() / target;
  }
  return result.string();
}

/// Opens a part for this run alone, with what an earlier run left still in it.
std::variant<file, failure> open_part(const std::string& part) {
  for (;;) {
    file output{::open(part.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666)};
    if (output.get() < 0)
      return io_failure("cannot open", part);
    if (::flock(output.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK)
        return output; // a file system without locks is no reason to refuse to work
      failure x;
      x.code = errc::io_failed;
      x.message = "another run is writing " + part;
      x.suggestion = "wait for it, or write to another file";
      return x;
    }
    // Between the two calls another run may have given the file its final name; then it is not ours to write to.
    struct stat mine {
    }, named{};
    if (::fstat(output.get(), &mine) == 0 && ::stat(part.c_str(), &named) == 0 && mine.st_dev == named.st_dev
        && mine.st_ino == named.st_ino)
      return output;
  }
}

} // namespace

std::string part_path(const std::string& path, std::string_view ending) {
  return end_of_links(path) + std::string{ending};
}

std::variant<output_file, failure> output_file::made_of(int descriptor, std::string path) {
  if (descriptor < 0)
    return io_failure("cannot open", path);
  return output_file{file{descriptor}, std::move(path)};
}

std::variant<output_file, failure> output_file::standard_output() {
  auto fd = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  if (fd >= 0 && (::fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY) {
    ::close(fd);
    fd = -1;
    errno = EBADF;
  }
  return made_of(fd, "standard output");
}

std::variant<output_file, failure> output_file::open(const std::string& path, std::string_view ending) {
  struct stat is {};
  auto there = ::stat(path.c_str(), &is) == 0;
  if (there && S_ISDIR(is.st_mode)) {
    errno = EISDIR;
    return io_failure("cannot write to", path);
  }
  if (there && !S_ISREG(is.st_mode))
    return made_of(::open(path.c_str(), O_WRONLY | O_CLOEXEC), path);
  return open_regular(path, ending);
}

std::variant<output_file, failure> output_file::open_regular(const std::string& path, std::string_view ending) {
  auto real = end_of_links(path);
  auto part = real + std::string{ending};
  auto opened = open_part(part);
  if (auto* problem = std::get_if<failure>(&opened))
    return std::move(*problem);
  output_file result{std::move(std::get<file>(opened)), real};
  result.part_ = std::move(part);
  if (::ftruncate(result.output_.get(), 0) != 0)
    return io_failure("cannot write to", result.part_);
  result.lock_ = file{::fcntl(result.output_.get(), F_DUPFD_CLOEXEC, 3)};
  if (result.lock_.get() < 0)
    return io_failure("cannot open", result.part_);
  struct stat is {}; // looked at under the lock: a run before may have made it only now
  if (::stat(real.c_str(), &is) == 0)
    (void)!::fchmod(result.output_.get(), is.st_mode & 07777); // what replaces a private file is private
  return result;
}

std::optional<failure> output_file::write(std::string_view bytes) {
  no_sigpipe guard;
  while (!bytes.empty()) {
    auto n = ::write(output_.get(), bytes.data(), bytes.size());
    if (n > 0)
      bytes.remove_prefix(static_cast<std::size_t>(n));
    else if (n == 0 || !try_again(output_.get(), POLLOUT))
      return io_failure("cannot write to", path_);
  }
  return {};
}

std::optional<failure> output_file::rewrite(std::string_view bytes) {
  if (is_part() && (::ftruncate(output_.get(), 0) != 0 || ::lseek(output_.get(), 0, SEEK_SET) != 0))
    return io_failure("cannot write to", part_);
  return write(bytes);
}

std::optional<failure> output_file::finish(bool complete) {
  auto rename = is_part() && complete;
  std::optional<failure> problem;
  if (is_part() && ::fdatasync(output_.get()) != 0)
    problem = io_failure("cannot write to", part_);
  else if (!output_.close())
    problem = io_failure("cannot close", path_);
  else if (rename && std::rename(part_.c_str(), path_.c_str()) != 0)
    problem = io_failure("cannot rename " + part_ + " to", path_);
  else if (rename)
    part_.clear();
  lock_.close(); // not before the rename: until then the part is this run's
  return problem;
}

void output_file::discard() {
  if (is_part())
    (void)!::unlink(part_.c_str()); // while it is locked, so that it is this run's
  output_.close();
  lock_.close();
}

} // namespace modelforge::batch
