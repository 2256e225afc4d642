#include "batch/writer.hpp"

#include "batch/file.hpp"
#include "wire/json.hpp"
#include "wire/openai_format.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
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

class line_sink : public sink {
public:
  /// `part` is the file that is written, empty where that is the final one already.
  line_sink(file output, std::string path, std::string part)
    : output_(std::move(output)), path_(std::move(path)), part_(std::move(part)) {
    buffer_.reserve(2 * buffer_size);
  }

  std::optional<failure> write(const std::string& custom_id, const std::variant<completion, failure>& result) override {
    if (problem_)
      return problem_;
    append(custom_id, result);
    return buffer_.size() >= buffer_size ? flush() : std::nullopt;
  }

  std::optional<failure> flush() override {
    if (!problem_ && !write_all(output_.get(), buffer_))
      problem_ = io_failure("cannot write to", path_);
    buffer_.clear();
    return problem_;
  }

  std::optional<failure> finish() override {
    if (flush())
      return problem_;
    if (!part_.empty() && ::fdatasync(output_.get()) != 0)
      problem_ = io_failure("cannot write to", part_);
    else if (!output_.close())
      problem_ = io_failure("cannot close", path_);
    else if (!part_.empty() && std::rename(part_.c_str(), path_.c_str()) != 0)
      problem_ = io_failure("cannot rename " + part_ + " to", path_);
    return problem_;
  }

private:
  void append(const std::string& custom_id, const std::variant<completion, failure>& result) {
    wire::json_writer out{buffer_};
    out.open('{');
    out.key("id");
    out.repaired("batch_req_" + std::to_string(++count_));
    out.key("custom_id");
    out.repaired(custom_id);
    auto* answer = std::get_if<completion>(&result);
    auto* problem = std::get_if<failure>(&result);
    out.key("response");
    if (answer != nullptr)
      append_response(out, 200, answer->provider_request_id, wire::write_openai_completion(*answer));
    else if (problem->http_status >= 400)
      append_response(out, problem->http_status, problem->provider_request_id, wire::write_openai_error_body(*problem));
    else
      out.raw("null");
    out.key("error");
    out.raw(answer != nullptr || problem->http_status >= 400 ? "null" : wire::write_openai_error(*problem));
    out.close('}');
    buffer_ += '\n';
  }

  static void append_response(wire::json_writer& out, uint16_t status, const std::string& request_id,
                              const std::string& body) {
    out.open('{');
    out.key("status_code");
    out.number(status);
    out.key("request_id");
    out.repaired(request_id);
    out.key("body");
    out.raw(body);
    out.close('}');
  }

  file output_;
  std::string path_;
  std::string part_;
  std::string buffer_;
  uint64_t count_ = 0;
  std::optional<failure> problem_; ///< The first one: from then on nothing is written.
};

std::variant<std::unique_ptr<sink>, failure> make_sink(int fd, std::string path, std::string part) {
  file output{fd};
  if (fd < 0)
    return io_failure("cannot open", part.empty() ? path : part);
  return std::make_unique<line_sink>(std::move(output), std::move(path), std::move(part));
}

std::variant<std::unique_ptr<sink>, failure> open_standard_output() {
  auto fd = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  if (fd >= 0 && (::fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY) {
    ::close(fd);
    fd = -1;
    errno = EBADF;
  }
  return make_sink(fd, "standard output", {});
}

} // namespace

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
    return make_sink(::open(path.c_str(), O_WRONLY | O_CLOEXEC), path, {});
  std::error_code ignored;
  auto real = there ? std::filesystem::canonical(path, ignored).string() : path; // a link stays a link
  if (real.empty())
    real = path;
  auto part = real + ".part";
  auto fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd >= 0 && there)
    (void)!::fchmod(fd, is.st_mode & 07777); // what replaces a private file is private; where not ours, as created
  return make_sink(fd, std::move(real), std::move(part));
}

} // namespace modelforge::batch
