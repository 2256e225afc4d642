#pragma once

#include "log/request_record.hpp"
#include "trace/otlp.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace modelforge::trace {

/// Spans since the start.
struct span_counts {
  uint64_t exported = 0; ///< The collector has taken them.
  uint64_t failed = 0;   ///< It has refused them, or could not be reached for too long.
  uint64_t dropped = 0;  ///< There was no room for them.

  friend bool operator==(const span_counts&, const span_counts&) = default;
};

/// Requests that have ended and whose spans wait to be sent: when they go, how many together, and what becomes of those
/// that the collector does not take. One batch is under way at a time; it is sent again a few times, ever later, and
/// then given up, since those behind it are as good.
///
/// A plain class, not synchronized. Its owner encodes and sends what `next` returns, keeps it for being sent again,
/// and tells what became of it.
class outbox {
public:
  using clock = std::chrono::steady_clock;
  using time_point = clock::time_point;

  static constexpr std::size_t max_waiting = 20'000; ///< Requests.
  static constexpr std::size_t max_waiting_bytes = 32u << 20;
  static constexpr std::size_t max_batch = 256; ///< Requests that go together.
  /// For how long the first of a batch waits for others, as OpenTelemetry's SDKs do.
  static constexpr auto gather_time = std::chrono::seconds{5};
  static constexpr uint32_t max_attempts = 5;
  static constexpr auto first_pause =
    std::chrono::seconds{1}; ///< Doubled each time; the collector may name a longer one.
  static constexpr auto max_pause = std::chrono::minutes{5};

  explicit outbox(uint64_t seed) : random_(seed) {}

  /// Takes one in that has spans; without room it is dropped: the newest, since how trouble began tells more. Returns
  /// whether `wake_at` is another now.
  bool add(log::timed_record ended, time_point now);

  struct step {
    std::vector<log::timed_record> batch; ///< To be encoded and sent; empty: what was sent last is to be sent again.
  };

  /// What is to be sent now, if anything.
  std::optional<step> next(time_point now);

  /// When `next` has something; empty: not before something happens.
  std::optional<time_point> wake_at() const;

  /// What was sent has come to this.
  void on_delivery(const delivery& how, time_point now);

  /// From now on all is sent at once, and what is not taken is given up.
  void finish() { is_finishing_ = true; }

  /// Nothing is left, under way or waiting.
  bool is_done() const { return under_way_ == 0 && waiting_.empty(); }

  /// Gives up whatever is left: there is no time for it.
  void abandon();

  const span_counts& counts() const { return counts_; }

  /// A change for the log.
  struct news {
    bool works = false; ///< Spans are taken again; else they are not.
    std::string reason{};
  };

  std::optional<news> collect_news() { return std::exchange(news_, {}); }

private:
  std::chrono::nanoseconds pause(std::chrono::nanoseconds named);
  void tell(bool works, const std::string& reason);

  std::mt19937_64 random_;
  std::deque<log::timed_record> waiting_; ///< In order.
  std::size_t waiting_bytes_ = 0;
  uint64_t under_way_ = 0; ///< Spans of the batch that is being sent, or is to be sent again; 0: there is none.
  bool is_sent_ = false;   ///< It is with the collector.
  uint32_t attempts_ = 0;
  time_point due_{};      ///< When it is sent again.
  time_point gathered_{}; ///< When the first that waits goes at the latest.
  bool is_finishing_ = false;
  bool works_ = true;
  span_counts counts_;
  std::optional<news> news_;
};

} // namespace modelforge::trace
