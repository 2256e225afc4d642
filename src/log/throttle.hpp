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
/// Events of one family (`family_of`) share these seconds: each is told at once the first time, unless another one is
/// counted by then. So what is told of a breaker stands in the order of its times, and the last of it is how it stands.
///
/// Of one family of events, 64 subjects are told apart at a time; more share one, so neither memory nor lines grow with
/// what strangers call themselves.
///
/// A plain class: holds no clock. `now` never goes back.
class throttle {
public:
  using time_point = std::chrono::steady_clock::time_point;
  using wall_time = std::chrono::system_clock::time_point;

  static constexpr auto window = std::chrono::seconds{10};
  static constexpr std::size_t max_subjects = 64; ///< Of one family of events.

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
  /// One event of a family in the present seconds.
  struct counted {
    event what{};
    bool is_told = false;
    uint64_t count = 0;
    std::optional<timed> latest{};
  };

  /// A family's events of one subject.
  struct window_of {
    time_point until{};
    std::vector<counted> events{};

    counted& of(event what);
    bool is_pending() const;
  };

  using place = std::pair<event, std::string>;

  static timed told(counted& of);
  static void tell(window_of& open, std::vector<timed>& to);
  void forget_past(time_point now);
  std::size_t& subjects_of(event family) { return subjects_[static_cast<std::size_t>(family)]; }

  std::map<place, window_of> open_;                  ///< By family and subject.
  std::array<std::size_t, rules.size()> subjects_{}; ///< By family.
};

} // namespace modelforge::log
