#pragma once

#include "tools/simulator/simulator.hpp"

#include <deque>
#include <functional>
#include <mutex>
#include <string_view>
#include <unordered_map>

namespace modelforge::simulator {

using clock = std::chrono::steady_clock;

/// The fullest interval [x, x + length) of a sequence of arrivals. Keeps 24 bytes for each arrival of the last window.
class fullest_window {
public:
  explicit fullest_window(clock::duration length) : length_(length) {}

  /// `now` never goes back.
  void add(clock::time_point now, uint64_t tokens);

  void clear();

  uint64_t requests() const { return most_requests_; }
  uint64_t tokens() const { return most_tokens_; }

private:
  struct arrival {
    clock::time_point at;
    uint64_t tokens;
  };

  clock::duration length_;
  std::deque<arrival> live_;
  uint64_t live_tokens_ = 0;
  uint64_t most_requests_ = 0;
  uint64_t most_tokens_ = 0;
};

/// Counts how often each request id was seen; forgets the oldest ids beyond a fixed number.
class attempt_log {
public:
  /// Ignores the attempt unless `request_id` is 32 hexadecimal digits and `number` a positive one.
  void add(std::string_view request_id, std::string_view number);

  void tell(stats& x) const;

private:
  struct id {
    uint64_t high, low;
    bool operator==(const id&) const = default;
  };
  struct id_hash {
    std::size_t operator()(const id& x) const { return x.high ^ x.low; }
  };

  static constexpr std::size_t remembered = 131'072;

  std::unordered_map<id, uint32_t, id_hash> counts_;
  std::deque<id> order_;
  uint64_t attempts_ = 0;
  uint64_t requests_ = 0;
  uint64_t most_ = 0;
  uint64_t highest_number_ = 0;
};

/// The simulator's books. Written on the server's thread, read on any.
class stats_book {
public:
  explicit stats_book(clock::duration window) : window_(window) {}

  void connected();
  void disconnected();

  /// A whole request was read, and its answer is chosen.
  struct arrival {
    clock::time_point at;
    int status;
    bool is_stream;
    uint32_t prompt_tokens, completion_tokens;
    std::string_view request_id, attempt; ///< As the client gave them; may be empty.
  };
  void arrived(const arrival& x);

  void stream_opened();

  enum class outcome { answered, aborted, stopped };
  void ended(outcome how, bool stream_was_open);

  stats snapshot() const;
  void reset();

private:
  mutable std::mutex mutex_;
  stats now_;
  fullest_window window_;
  attempt_log attempts_;
};

} // namespace modelforge::simulator
