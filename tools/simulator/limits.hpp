#pragma once

#include "tools/simulator/simulator.hpp"

#include <deque>
#include <optional>

namespace modelforge::simulator {

/// What was counted in the last `length`: an amount counted at t belongs to it until t + length, that moment excluded.
/// `now` never goes back. Keeps 16 bytes for each moment at which something was counted.
class sliding_sum {
public:
  explicit sliding_sum(clock::duration length) : length_(length) {}

  /// Counts `amount` at `now`.
  void add(clock::time_point now, uint64_t amount);

  /// Returns the sum over the interval that ends `now`.
  uint64_t total(clock::time_point now);

  /// Returns how long until `amount` more, at most `limit`, leaves the sum within `limit`, if nothing is added.
  clock::duration time_to_fit(clock::time_point now, uint64_t amount, uint64_t limit);

  /// Returns how long until the sum is 0 again, if nothing is added.
  clock::duration time_to_empty(clock::time_point now);

private:
  struct entry {
    clock::time_point time;
    uint64_t amount;
  };

  /// Drops what has left the interval.
  void advance(clock::time_point now);

  clock::duration length_;
  std::deque<entry> entries_;
  uint64_t total_ = 0;
};

/// Which of the provider's limits.
enum class limit_kind : uint8_t { none, requests, tokens };

/// Whether a request was admitted, and if not, why.
struct ruling {
  limit_kind exceeded = limit_kind::none; ///< Of two the one that takes longer to allow the request.
  bool is_hopeless = false;               ///< The request alone exceeds the limit.
  uint64_t limit = 0;                     ///< The exceeded one, per window.
  uint64_t used = 0;                      ///< What the window held without the request.
  uint64_t requested = 0;                 ///< What the request would have added.
  clock::duration wait{};                 ///< Until the request fits; 0 when it is hopeless.

  /// Whether no limit refused the request.
  bool is_admitted() const { return exceeded == limit_kind::none; }
};

/// The provider's limits: in every interval [t, t + window) the sum of what was admitted stays within them. What is
/// refused does not count. With `token_accounting::produced` output counts without being asked and may exceed them.
class limiter {
public:
  /// The state of one limit, for the headers.
  struct level {
    uint64_t limit, remaining; ///< Per window.
    clock::duration reset;     ///< Until the window is empty.
  };

  /// Takes over limits, accounting and window of `settings`.
  explicit limiter(const options& settings);

  /// Takes over limits and accounting, not the window. What was counted stays; a new limit begins with nothing counted.
  void configure(const options& settings);

  /// Returns what a request adds to the tokens when it arrives.
  uint64_t charge(uint32_t prompt_tokens, std::optional<uint32_t> max_tokens) const;

  /// Admits a request of `tokens` and counts it, or refuses it.
  ruling admit(clock::time_point now, uint64_t tokens);

  /// Returns whether output counts, by `produce`.
  bool counts_output() const { return accounting_ == token_accounting::produced; }

  /// Counts output that is sent `now`, whatever the limit.
  void produce(clock::time_point now, uint64_t tokens);

  /// The state of the two limits; nothing for one that is not set.
  std::optional<level> request_level(clock::time_point now) { return level_of(requests_, now); }
  std::optional<level> token_level(clock::time_point now) { return level_of(tokens_, now); }

private:
  /// One limit and what counts against it; without a limit nothing is counted.
  struct limited {
    explicit limited(clock::duration window) : sum(window) {}

    uint64_t limit = 0; ///< 0: none.
    sliding_sum sum;
  };

  /// Judges by one limit, without counting.
  static ruling rule(limited& resource, limit_kind kind, clock::time_point now, uint64_t amount);
  static std::optional<level> level_of(limited& resource, clock::time_point now);
  void set(limited& resource, uint64_t per_minute) const;

  std::chrono::milliseconds window_;
  token_accounting accounting_ = token_accounting::arrival;
  limited requests_, tokens_;
};

} // namespace modelforge::simulator
