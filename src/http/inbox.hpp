#pragma once

#include "http/client.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <variant>
#include <vector>

namespace modelforge::http {

using steady = std::chrono::steady_clock;

struct start_command {
  transfer_id id;
  http::request request;
  std::shared_ptr<http::receiver> receiver;
  uint64_t credit; ///< Bytes; `UINT64_MAX`: without bound, and never paused.
  steady::time_point asked_at;
};

struct grant_command {
  transfer_id id;
  uint64_t bytes;
};

/// With `after` 0 the transfer ends at once, else when that has passed.
struct cancel_command {
  transfer_id id;
  std::chrono::nanoseconds after{0};
};

/// Nothing new is taken; what is left at `deadline` is cancelled.
struct drain_command {
  steady::time_point deadline;
};

using command = std::variant<start_command, grant_command, cancel_command, drain_command>;

/// What other threads want of the loop's thread, and whether that thread has to be woken for it.
///
/// Any thread posts; one at a time takes: the loop's own or its deputy (see `loop`). Who takes says `fall_asleep`
/// before it waits, which fails while something is posted, so nothing is left lying. The first who posts to a sleeper
/// learns of it and must see to its waking; later ones rely on the first.
class inbox {
public:
  enum class outcome : uint8_t {
    closed,  ///< Not taken: the thread has ended.
    posted,  ///< The thread is awake and will come to it.
    sleeper, ///< The caller has to wake the thread.
  };

  /// Leaves `next` alone where it is not taken.
  outcome post(command&& next) {
    std::lock_guard lock{mutex_};
    if (closed_)
      return outcome::closed;
    posted_.push_back(std::move(next));
    return sleeping_.exchange(false, std::memory_order_relaxed) ? outcome::sleeper : outcome::posted;
  }

  /// Hands all that is posted to `apply`, which may post more for the next time.
  template <class Apply>
  void take(Apply&& apply) {
    {
      std::lock_guard lock{mutex_};
      taken_.swap(posted_);
    }
    for (auto& command : taken_)
      std::visit(apply, command);
    taken_.clear();
  }

  /// False: there is something to take.
  bool fall_asleep() {
    std::lock_guard lock{mutex_};
    sleeping_.store(posted_.empty(), std::memory_order_relaxed);
    return posted_.empty();
  }

  void awake() { sleeping_.store(false, std::memory_order_relaxed); }

  /// Takes nothing from now on. False: there is something to take first.
  bool close() {
    std::lock_guard lock{mutex_};
    closed_ = posted_.empty();
    return closed_;
  }

private:
  std::mutex mutex_;
  std::vector<command> posted_;       ///< Guarded by `mutex_`.
  bool closed_ = false;               ///< Guarded by `mutex_`.
  std::atomic<bool> sleeping_{false}; ///< Set to true under `mutex_` only.
  std::vector<command> taken_;        ///< Who takes has it alone; kept for its memory.
};

} // namespace modelforge::http
