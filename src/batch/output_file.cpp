#include "batch/output_file.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <charconv>
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

/// Where a path leads.
struct destination {
  std::string path;              ///< At the end of all links, whether it is there yet or not.
  std::optional<int> descriptor; ///< One of this process, which the path is another name of.
  bool is_foreign = false;       ///< It is another process's descriptor.
};

/// Whether a path is the name of an open descriptor, as /proc/self/fd/1 is. Such a name looks like a link to what was
/// opened, but what is meant is the opening itself: a shell's `>` or `>>`, with what others write there.
void find_descriptor(destination& to, const std::filesystem::path& path) {
  std::error_code error;
  auto folder = std::filesystem::canonical(path.has_parent_path() ? path.parent_path() : ".", error).string();
  if (error || !folder.starts_with("/proc/") || !folder.ends_with("/fd"))
    return;
  auto self = "/proc/" + std::filesystem::read_symlink("/proc/self", error).string() + "/";
  auto name = path.filename().string();
  int number = -1;
  auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (problem != std::errc{} || end != name.data() + name.size())
    return;
  if (folder.starts_with(self))
    to.descriptor = number;
  else
    to.is_foreign = true;
}

/// Follows links up to a file or a descriptor. Empty: they go in a circle; errno says so.
std::optional<destination> follow(const std::string& path) {
  constexpr int max_links = 40; // as the kernel's
  std::filesystem::path at{path};
  std::error_code error;
  destination result;
  for (int i = 0; i <= max_links; ++i) {
    find_descriptor(result, at);
    if (result.descriptor || result.is_foreign || !std::filesystem::is_symlink(at, error)) {
      result.path = at.string();
      return result;
    }
    auto to = std::filesystem::read_symlink(at, error);
    at = to.is_absolute() ? to : at.parent_path() / to;
  }
  errno = ELOOP;
  return {};
}

/// Whether what an earlier run left in a part, or somebody else has under its name, may be dropped.
bool may_be_emptied(int part, output_file::is_dispensable dispensable) {
  struct stat is {};
  if (::fstat(part, &is) != 0 || !S_ISREG(is.st_mode))
    return false;
  if (is.st_size == 0)
    return true;
  char beginning[256];
  auto n = dispensable != nullptr ? ::pread(part, beginning, sizeof beginning, 0) : 0;
  return n > 0 && dispensable({beginning, static_cast<std::size_t>(n)});
}

/// Opens a part for this run alone, with what may be dropped still in it. A descriptor below 0: this name is taken by
/// what nobody may drop.
std::variant<file, failure> open_part(const std::string& part, output_file::is_dispensable dispensable) {
  for (;;) {
    file output{::open(part.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666)};
    if (output.get() < 0 && errno == ELOOP) // a link, which nobody but its owner knows the use of
      return file{};
    if (output.get() < 0)
      return io_failure("cannot open", part);
    if (::flock(output.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
      return make_failure(errc::io_failed, "another run is writing " + part, "wait for it, or write to another file");
    // A file system without locks is no reason to refuse to work. Between the two calls another run may have given the
    // file its final name; then it is not ours to write to.
    struct stat mine {
    }, named{};
    if (::fstat(output.get(), &mine) != 0 || ::stat(part.c_str(), &named) != 0 || mine.st_dev != named.st_dev
        || mine.st_ino != named.st_ino)
      continue;
    return may_be_emptied(output.get(), dispensable) ? std::move(output) : file{};
  }
}

/// Opens the first of PART, PART.2, PART.3, ... that is free, and has `part` name it.
std::variant<file, failure> open_free_part(std::string& part, output_file::is_dispensable dispensable) {
  constexpr int max_parts = 100;
  auto first = part;
  for (int i = 2;; ++i) {
    auto opened = open_part(part, dispensable);
    if (auto* output = std::get_if<file>(&opened); output == nullptr || output->get() >= 0)
      return opened;
    if (i > max_parts)
      return make_failure(errc::io_failed, first + " and " + std::to_string(max_parts - 1) + " like it are there",
                          "see what is in them, and remove what nobody needs");
    part = first + '.' + std::to_string(i);
  }
}

} // namespace

std::string part_path(const std::string& path, std::string_view ending) {
  auto to = follow(path);
  return (to ? to->path : path) + std::string{ending};
}

bool is_written_as_part(const std::string& path) {
  auto to = follow(path);
  if (path == "-" || (to && (to->descriptor || to->is_foreign)))
    return false;
  struct stat is {};
  return ::stat(path.c_str(), &is) != 0 || S_ISREG(is.st_mode) || S_ISDIR(is.st_mode);
}

std::optional<file> open_named_pipe(const std::string& path) {
  auto to = follow(path);
  struct stat is {};
  if (path == "-" || !to || to->descriptor || to->is_foreign || ::stat(path.c_str(), &is) != 0 || !S_ISFIFO(is.st_mode))
    return {};
  file pipe{::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC)};
  if (pipe.get() < 0 && errno != ENXIO)
    return {};
  return pipe;
}

std::variant<output_file, failure> output_file::made_of(int descriptor, std::string path) {
  if (descriptor < 0)
    return io_failure("cannot open", path);
  return output_file{file{descriptor}, std::move(path)};
}

std::variant<output_file, failure> output_file::standard_output() {
  return on_descriptor(STDOUT_FILENO, "standard output");
}

std::variant<output_file, failure> output_file::on_descriptor(int descriptor, std::string name) {
  auto fd = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
  if (fd >= 0 && (::fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY) {
    ::close(fd);
    fd = -1;
    errno = EBADF;
  }
  return made_of(fd, std::move(name));
}

std::variant<output_file, failure> output_file::open(const std::string& path, std::string_view ending,
                                                     is_dispensable dispensable) {
  auto to = follow(path);
  if (!to)
    return io_failure("cannot open", path);
  if (to->descriptor)
    return on_descriptor(*to->descriptor, path);
  struct stat is {};
  auto there = ::stat(path.c_str(), &is) == 0;
  if (there && S_ISDIR(is.st_mode)) {
    errno = EISDIR;
    return io_failure("cannot write to", path);
  }
  if (to->is_foreign || (there && !S_ISREG(is.st_mode)))
    return made_of(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC), path);
  if (there && ::access(path.c_str(), W_OK) != 0) // a new file could take its place, but is not to
    return io_failure("cannot write to", path);
  return open_regular(to->path, ending, dispensable);
}

std::variant<output_file, failure> output_file::open_regular(const std::string& real, std::string_view ending,
                                                             is_dispensable dispensable) {
  auto part = real + std::string{ending};
  auto opened = open_free_part(part, dispensable);
  if (auto* problem = std::get_if<failure>(&opened))
    return std::move(*problem);
  output_file result{std::move(std::get<file>(opened)), real};
  result.part_ = std::move(part);
  if (::ftruncate(result.output_.get(), 0) != 0)
    return io_failure("cannot write to", result.part_);
  result.lock_ = file{::fcntl(result.output_.get(), F_DUPFD_CLOEXEC, 3)};
  if (result.lock_.get() < 0)
    return io_failure("cannot open", result.part_);
  struct stat is {};                    // looked at under the lock: a run before may have made it only now
  if (::stat(real.c_str(), &is) == 0) { // what replaces a private file is private, and of the same owner if it may be
    (void)!::fchown(result.output_.get(), is.st_uid, is.st_gid);
    (void)!::fchmod(result.output_.get(), is.st_mode & 07777);
  }
  return result;
}

bool output_file::replaces_something() const {
  struct stat is {};
  return is_part() && ::stat(path_.c_str(), &is) == 0 && is.st_size > 0;
}

std::optional<failure> output_file::write(std::string_view bytes) {
  no_sigpipe guard;
  if (!base::write_all(output_.get(), bytes))
    return io_failure("cannot write to", path_);
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
