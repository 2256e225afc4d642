#pragma once

#include "http/multi.hpp"

#include <sys/epoll.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace modelforge::http {

/// What the loop knows of a file descriptor of libcurl's.
struct watched {
  http::origin* origin = nullptr; ///< Set for connections; libcurl has other descriptors, too (of resolver threads).
  http::multi* multi = nullptr;
  transfer* user = nullptr; ///< The last one that used it; distinguishes a socket from a later one of the same number.
  uint32_t wanted = 0;      ///< epoll events that libcurl wants.
  uint32_t registered = 0;  ///< Those that epoll looks for. Kept through idle times to save calls.
  std::optional<uint64_t> silent_from{}; ///< Bytes that had come when the answer under way last got further.
  bool idle = false;                     ///< Counted in its pool's `idle`.
  bool http2 = false;                    ///< Counted in its pool's `http2`.

  connection_pool& pool() const { return origin->pool(multi->index); }

  /// Keeps the pool's count of idle connections.
  void set_idle(bool is_idle) {
    if (idle == is_idle)
      return;
    idle = is_idle;
    is_idle ? ++pool().idle : --pool().idle;
  }
};

/// epoll, the descriptors it looks at, and a descriptor to wake who waits.
///
/// All but `wake` belongs to the transport's thread or its deputy; while the thread waits, a deputy may watch more
/// descriptors, since epoll looks at them at once.
class poller {
public:
  /// Throws where no more files can be opened.
  poller();
  ~poller();

  poller(const poller&) = delete;
  poller& operator=(const poller&) = delete;

  /// Ends the wait that is under way, or the next one. From any thread.
  void wake();

  /// Waits until something happens or the time (-1: none) is over; returns what did, at most as much as `room` holds.
  std::span<epoll_event> wait(std::span<epoll_event> room, int milliseconds);

  /// Whether an event is but a wake-up, which is over with that.
  bool is_wake_up(const epoll_event& event);

  /// The entry of a descriptor, valid until another descriptor is asked for.
  watched& at(int descriptor) {
    auto index = static_cast<std::size_t>(descriptor);
    if (index >= watched_.size())
      watched_.resize(index + 1);
    return watched_[index];
  }

  /// Has epoll look for these events; 0: for none.
  void watch(int descriptor, watched& entry, uint32_t events);

private:
  int epoll_ = -1;
  int wake_up_ = -1;
  std::vector<watched> watched_; ///< By descriptor.
};

} // namespace modelforge::http
