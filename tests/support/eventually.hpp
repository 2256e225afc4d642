#pragma once

#include <chrono>
#include <thread>

/// Waiting for what other threads and processes do.

namespace modelforge::test {

/// No wait in a test takes longer. It bounds how long a failing test hangs, and is far beyond what passing ones need on
/// a machine that is four times as busy.
inline constexpr auto patience = std::chrono::seconds{30};

/// Sanitizers have their own needs of memory, time and open files.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif

/// Waits until `condition()` holds, asking again and again. Returns whether it did.
template <class Condition>
bool eventually(Condition condition, std::chrono::nanoseconds within = patience) {
  auto until = std::chrono::steady_clock::now() + within;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= until)
      return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  return true;
}

} // namespace modelforge::test
