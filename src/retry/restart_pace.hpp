#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace modelforge::retry {

/// Decides how soon something that has ended, though nobody asked it to, is started again: at once the first time, then
/// after 100 ms, doubled each time up to a minute, so that what ends at every start costs nothing. After ten minutes
/// without an end it begins anew.
///
/// A plain class: `now` comes as an argument and never goes back.
class restart_pace {
public:
  using duration = std::chrono::nanoseconds;
  using time_point = std::chrono::steady_clock::time_point;

  static constexpr duration first_wait = std::chrono::milliseconds{100};
  static constexpr duration longest_wait = std::chrono::minutes{1};
  static constexpr duration quiet_time = std::chrono::minutes{10};

  /// It has ended, or could not be started. Returns the time until the next start.
  duration ended(time_point now) {
    if (now >= quiet_at_)
      in_a_row_ = 0;
    auto wait = duration{0};
    if (in_a_row_ > 0)
      wait = in_a_row_ > 10 ? longest_wait : std::min<duration>(longest_wait, first_wait * (1 << (in_a_row_ - 1)));
    ++in_a_row_;
    ++ends_;
    quiet_at_ = now + wait + quiet_time;
    return wait;
  }

  /// How often it has ended, in all.
  uint64_t ends() const { return ends_; }

private:
  uint32_t in_a_row_ = 0;
  uint64_t ends_ = 0;
  time_point quiet_at_{};
};

} // namespace modelforge::retry
