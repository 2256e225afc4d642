#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <poll.h>
#include <string>
#include <string_view>
#include <utility>

namespace modelforge::base {

/// Owns a file descriptor.
class file {
public:
  file() = default;
  explicit file(int fd) : fd_(fd) {}
  file(file&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  file& operator=(file&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~file() { close(); }

  int get() const { return fd_; }

  /// Returns false, with errno set, if the system reports an error of an earlier write here.
  bool close() {
    auto fd = std::exchange(fd_, -1);
    return fd < 0 || ::close(fd) == 0 || errno == EINTR;
  }

private:
  int fd_ = -1;
};

/// A file's permission bits as people write them: "0640".
inline std::string mode_text(uint32_t mode) {
  char text[16];
  return {text, static_cast<std::size_t>(std::snprintf(text, sizeof text, "%04o", static_cast<unsigned>(mode)))};
}

/// Whether a call that failed may be made again: it was interrupted, or the descriptor is non-blocking, as one
/// inherited from a shell may be; then this waits until it is ready for `events`.
inline bool try_again(int fd, short events) {
  if (errno == EAGAIN || errno == EWOULDBLOCK) {
    pollfd waiting{fd, events, 0};
    ::poll(&waiting, 1, -1);
    return true;
  }
  return errno == EINTR;
}

/// Writes all of the text, without a buffer of its own, however long that takes. Returns false, with errno set, where
/// it cannot; a part may have been written then. A closed pipe raises SIGPIPE unless the process ignores it.
inline bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    auto n = ::write(fd, text.data(), text.size());
    if (n > 0)
      text.remove_prefix(static_cast<std::size_t>(n));
    else if (n == 0 || !try_again(fd, POLLOUT))
      return false;
  }
  return true;
}

} // namespace modelforge::base
