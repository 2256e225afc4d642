#include "batch/writer.hpp"

#include "batch/file.hpp"
#include "wire/openai/format.hpp"
#include "json/writer.hpp"

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

constexpr std::size_t buffer_size = 64u << 10;

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

/// Writes all of it; false with the reason in errno.
bool write_all(int fd, std::string_view bytes) {
  no_sigpipe guard;
  while (!bytes.empty()) {
    auto n = ::write(fd, bytes.data(), bytes.size());
    if (n > 0)
      bytes.remove_prefix(static_cast<std::size_t>(n));
    else if (n == 0 || !try_again(fd, POLLOUT))
      return false;
  }
  return true;
}

/// What is written until it gets its final name.
struct part_file {
  std::string path; ///< Empty: the final file itself is written.
  file lock;        ///< A second descriptor of the same opening: keeps the lock while the first one is closed.
};

class line_sink : public sink {
public:
  line_sink(file output, std::string path, part_file part)
    : output_(std::move(output)), path_(std::move(path)), part_(std::move(part)),
      place_(part_.path.empty() ? path_ : part_.path) {
    buffer_.reserve(2 * buffer_size);
  }

  std::optional<failure> write(std::string_view line) override {
    if (problem_)
      return problem_;
    (buffer_ += line) += '\n';
    return buffer_.size() >= buffer_size ? flush() : std::nullopt;
  }

  std::optional<failure> flush() override {
    if (!problem_ && !write_all(output_.get(), buffer_))
      problem_ = io_failure("cannot write to", path_);
    buffer_.clear();
    return problem_;
  }

  std::optional<failure> finish(bool complete) override {
    if (flush())
      return problem_;
    auto& part = part_.path;
    auto rename = !part.empty() && complete;
    if (!part.empty() && ::fdatasync(output_.get()) != 0)
      problem_ = io_failure("cannot write to", part);
    else if (!output_.close())
      problem_ = io_failure("cannot close", path_);
    else if (rename && std::rename(part.c_str(), path_.c_str()) != 0)
      problem_ = io_failure("cannot rename " + part + " to", path_);
    else if (rename)
      place_ = path_;
    part_.lock.close(); // not before the rename: until then the part is this run's
    return problem_;
  }

  std::string place() const override { return place_; }

private:
  file output_;
  std::string path_;
  part_file part_;
  std::string place_;
  std::string buffer_;
  std::optional<failure> problem_; ///< The first one: from then on nothing is written.
};

std::variant<std::unique_ptr<sink>, failure> make_sink(int fd, std::string path) {
  file output{fd};
  if (fd < 0)
    return io_failure("cannot open", path);
  return std::make_unique<line_sink>(std::move(output), std::move(path), part_file{});
}

std::variant<std::unique_ptr<sink>, failure> open_standard_output() {
  auto fd = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  if (fd >= 0 && (::fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY) {
    ::close(fd);
    fd = -1;
    errno = EBADF;
  }
  return make_sink(fd, "standard output");
}

/// The file that a link leads to, so that it stays a link; for anything else the path as it was given.
std::string real_path(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::is_symlink(path, ignored))
    return path;
  auto real = std::filesystem::canonical(path, ignored).string();
  return real.empty() ? path : real;
}

std::string part_of(const std::string& real) {
  return real + ".part";
}

bool same_file(const struct stat& x, const struct stat& y) {
  return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
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
    if (::fstat(output.get(), &mine) == 0 && ::stat(part.c_str(), &named) == 0 && same_file(mine, named))
      return output;
  }
}

std::variant<std::unique_ptr<sink>, failure> open_regular(const std::string& path) {
  auto real = real_path(path);
  part_file part{part_of(real), {}};
  auto opened = open_part(part.path);
  if (auto* problem = std::get_if<failure>(&opened))
    return std::move(*problem);
  auto& output = std::get<file>(opened);
  if (::ftruncate(output.get(), 0) != 0)
    return io_failure("cannot write to", part.path);
  part.lock = file{::fcntl(output.get(), F_DUPFD_CLOEXEC, 3)};
  if (part.lock.get() < 0)
    return io_failure("cannot open", part.path);
  struct stat is {}; // looked at under the lock: a run before may have made it only now
  if (::stat(real.c_str(), &is) == 0)
    (void)!::fchmod(output.get(), is.st_mode & 07777); // what replaces a private file is private; else as created
  return std::make_unique<line_sink>(std::move(output), std::move(real), std::move(part));
}

void append_response(json::writer& out, uint16_t status, const std::string& request_id, const std::string& body) {
  out.open('{');
  out.key("status_code");
  out.number(status);
  out.key("request_id");
  out.repaired(request_id);
  out.key("body");
  out.raw(body);
  out.close('}');
}

} // namespace

std::string result_line(uint64_t item, const std::string& custom_id, const std::variant<completion, failure>& result) {
  std::string line;
  json::writer out{line};
  out.open('{');
  out.key("id");
  out.repaired("batch_req_" + std::to_string(item + 1));
  out.key("custom_id");
  out.repaired(custom_id);
  auto* answer = std::get_if<completion>(&result);
  auto* problem = std::get_if<failure>(&result);
  out.key("response");
  if (answer != nullptr)
    append_response(out, 200, answer->provider_request_id, wire::openai::write_completion(*answer));
  else if (problem->http_status >= 400)
    append_response(out, problem->http_status, problem->provider_request_id, wire::openai::write_error_body(*problem));
  else
    out.raw("null");
  out.key("error");
  out.raw(answer != nullptr || problem->http_status >= 400 ? "null" : wire::openai::write_error(*problem));
  if (answer != nullptr && !answer->warnings.empty()) {
    out.key("warnings"); // OpenAI's lines have none, and its readers skip it
    out.open('[');
    for (auto& warning : answer->warnings)
      out.repaired(warning);
    out.close(']');
  }
  out.close('}');
  return line;
}

std::variant<std::unique_ptr<sink>, failure> open_sink(const std::string& path) {
  if (path == "-")
    return open_standard_output();
  struct stat is {};
  auto there = ::stat(path.c_str(), &is) == 0;
  if (there && S_ISDIR(is.st_mode)) {
    errno = EISDIR;
    return io_failure("cannot write to", path);
  }
  if (there && !S_ISREG(is.st_mode))
    return make_sink(::open(path.c_str(), O_WRONLY | O_CLOEXEC), path);
  return open_regular(path);
}

std::optional<failure> refuse_same_file(const std::string& input, const std::string& output) {
  struct stat from {
  }, to{};
  if (input == "-" || output == "-" || ::stat(input.c_str(), &from) != 0 || !S_ISREG(from.st_mode))
    return {};
  failure x;
  x.code = errc::io_failed;
  x.suggestion = "write the results to another file";
  if (::stat(output.c_str(), &to) == 0 && same_file(from, to)) {
    x.message = "the input " + input + " and the output " + output + " are the same file";
    return x;
  }
  auto part = part_of(real_path(output));
  if (::stat(part.c_str(), &to) == 0 && same_file(from, to)) {
    x.message = "the input " + input + " is the file " + part + ", in which the results for " + output + " gather";
    return x;
  }
  return {};
}

} // namespace modelforge::batch
