#pragma once

#include "tools/simulator/faults.hpp"
#include "tools/simulator/simulator.hpp"

#include <deque>
#include <mutex>
#include <optional>
#include <string_view>
#include <unordered_map>

namespace modelforge::simulator {

struct exchange;
struct reply;

/// The fullest interval [t, t + length) of what was counted. Keeps 16 bytes for each moment of the last window.
class fullest_window {
public:
  explicit fullest_window(clock::duration length) : length_(length) {}

  /// `now` never goes back.
  void add(clock::time_point now, uint64_t amount);

  /// Forgets everything; the length stays.
  void clear() { *this = fullest_window(length_); }

  /// Returns the largest sum of any interval so far.
  uint64_t most() const { return max_; }

private:
  struct entry {
    clock::time_point time;
    uint64_t amount;
  };

  clock::duration length_;
  std::deque<entry> live_;
  uint64_t sum_ = 0;
  uint64_t max_ = 0;
};

/// What is known of one request id.
struct attempt_record {
  uint32_t attempts = 0;
  uint16_t status = 0;          ///< Of the last fault injected; 0: it had no answer.
  fault injected = fault::none; ///< The last one injected.
};

/// Counts how often each request id was seen, and keeps its last fault; forgets the oldest ids beyond a fixed number.
class attempt_log {
public:
  /// Ignores the attempt unless `request_id` is 32 hexadecimal digits and `number` a positive one.
  void add(std::string_view request_id, std::string_view number, fault injected = fault::none, int status = 200);

  /// Returns what is known of that id; nothing when it was never seen, or so long ago that it is forgotten.
  std::optional<attempt_record> find(std::string_view request_id) const;

  /// Fills in the members of `totals` that are about attempts.
  void tell(stats& totals) const;

private:
  /// A request id: its 32 hexadecimal digits as two numbers.
  struct id {
    uint64_t high, low;
    bool operator==(const id&) const = default;
  };
  struct id_hash {
    std::size_t operator()(const id& key) const { return key.high ^ key.low; }
  };

  static constexpr std::size_t remembered = 131'072;

  /// Returns nothing unless it is 32 hexadecimal digits.
  static std::optional<id> parse(std::string_view request_id);

  std::unordered_map<id, attempt_record, id_hash> records_;
  std::deque<id> order_;
  uint64_t attempts_ = 0;
  uint64_t first_attempts_ = 0;
  uint64_t requests_ = 0;
  uint64_t max_attempts_ = 0;
  uint64_t highest_number_ = 0;
};

/// The simulator's books. Written on the server's thread, read on any.
class stats_book {
public:
  explicit stats_book(clock::duration window) : window_requests_(window), window_tokens_(window) {
    now_.started = clock::now();
  }

  /// A connection was accepted, or has ended.
  void connected();
  void disconnected();

  /// The whole of `request` was read, and `answer` is chosen.
  void arrived(const exchange& request, const reply& answer);

  /// Output that counts is sent `now`.
  void produced(clock::time_point now, uint64_t tokens);

  /// The first byte of a stream is sent.
  void stream_opened();

  /// A client uploaded a file; it created a job of that many items; one of its items was run.
  void file_stored();
  void batch_created(std::size_t items);
  void batch_item_run();

  /// So many bytes of a stream were given to the system.
  void stream_sent(std::size_t bytes);

  /// `cut`: broken off by a fault.
  enum class outcome { answered, aborted, cut, stopped };
  void ended(outcome result, bool is_stream, bool stream_was_open);

  /// Returns what is known of a request id.
  std::optional<attempt_record> attempts_of(std::string_view request_id) const;

  /// Returns a copy of the counts, with what is worked out from them.
  stats snapshot() const;

  /// Clears the counts; what is open now stays counted, and the peaks begin from it.
  void reset();

private:
  mutable std::mutex mutex_;
  stats now_;
  fullest_window window_requests_, window_tokens_;
  attempt_log attempts_;
};

} // namespace modelforge::simulator
