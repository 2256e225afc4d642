#pragma once

#include "log/entry.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace modelforge::log {

/// Keeps an event that repeats itself from filling the log. The first of a kind passes; those about the same subject
/// within the next ten seconds are counted, and told once when these are over: the latest of them, with how many they
/// were (`repeated`) and when the latest was (`last`). Then the next ten seconds begin.
///
/// Of one kind of event, 64 subjects are told apart at a time; more share one, so neither memory nor lines grow with
/// what strangers call themselves.
///
/// A plain class: holds no clock. `now` never goes back.
class throttle {
public:
  using time_point = std::chrono::steady_clock::time_point;
  using wall_time = std::chrono::system_clock::time_point;

  static constexpr auto window = std::chrono::seconds{10};
  static constexpr std::size_t max_subjects = 64; ///< Of one event.

  /// An event, and when it happened.
  struct timed {
    entry what;
    wall_time time;
  };

  /// Returns whether this one is to be told now; otherwise it is counted.
  bool passes(const timed& happened, time_point now);

  /// When `take_due` has something to tell; empty: never.
  std::optional<time_point> wake_at() const;

  /// What was counted in times that are over.
  std::vector<timed> take_due(time_point now);

  /// Whatever was counted: at the end.
  std::vector<timed> take_all();

private:
  struct counted {
    time_point until;
    uint64_t count = 0;
    std::optional<timed> latest{};
  };

  using place = std::pair<event, std::string>;

  static timed told(counted& of);
  void forget_past(time_point now);
  std::size_t& subjects_of(event what) { return subjects_[static_cast<std::size_t>(what)]; }

  std::map<place, counted> open_;
  std::array<std::size_t, rules.size()> subjects_{}; ///< By event.
};

} // namespace modelforge::log
