#pragma once

#include <array>
#include <chrono>
#include <cstdint>

namespace modelforge::retry {

/// Keeps retries a small part of what is sent: in any trailing 10 s, retries <= 0.2 x first attempts + 1 per second
/// (Finagle's RetryBudget and Envoy's retry_budget have the same shape). So a provider that fails every request gets
/// 1.2 times the load at most, however many attempts each request may make. The one per second is earned from the first
/// attempt on, with two to begin with.
///
/// Time is counted in steps of 100 ms; a retry counts until its step's end, a first attempt until its step's begin, so
/// that the rule holds at every instant.
class budget {
public:
  using duration = std::chrono::nanoseconds;
  using time_point = std::chrono::steady_clock::time_point;

  static constexpr double share = 0.2;
  static constexpr auto span = std::chrono::seconds{10};

  /// A first attempt is dispatched.
  void first(time_point now);

  /// A retry is dispatched.
  void retry(time_point now);

  /// How many retries may be dispatched now.
  uint64_t available(time_point now);

  /// When more than so many may be, if nothing is dispatched until then; `now` if they may already, and
  /// `time_point::max()` if that takes more first attempts.
  time_point ready_at(time_point now, uint64_t more_than = 0);

private:
  static constexpr auto step = std::chrono::milliseconds{100};
  static constexpr int64_t steps = span / step;

  struct counts {
    uint64_t first = 0;
    uint64_t retries = 0;
  };

  counts& at(int64_t number) { return ring_[static_cast<std::size_t>(number) % ring_.size()]; }
  void advance(time_point now);
  uint64_t allowed(uint64_t firsts, time_point now) const;

  std::array<counts, steps + 1> ring_{}; ///< The current step, and as many before it as the span covers.
  int64_t current_ = 0;                  ///< Number of the current step since the clock's epoch.
  uint64_t firsts_ = 0;                  ///< Of the latest `steps` steps.
  uint64_t retries_ = 0;                 ///< Of the latest `steps` + 1 steps.
  time_point began_{};                   ///< The very first attempt.
};

} // namespace modelforge::retry
