#pragma once

#include <chrono>
#include <ctime>

namespace modelforge::cluster {

/// The time since the machine was started, with the time that it slept (CLOCK_BOOTTIME): never set, never back. What a
/// lease allows is counted by it: the steady clock stands still while the store's goes on.
struct boot_clock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<boot_clock>;

  static constexpr bool is_steady = true;

  static time_point now() noexcept {
    timespec time{};
    ::clock_gettime(CLOCK_BOOTTIME, &time);
    return time_point{std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec}};
  }
};

using duration = boot_clock::duration;
using time_point = boot_clock::time_point;

} // namespace modelforge::cluster
