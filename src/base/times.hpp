#pragma once

namespace modelforge {

/// Returns the time `length` after `start`, for lengths from zero on; where that is beyond what the clock can say, its
/// last time, which stands for never.
template <class TimePoint, class Duration>
constexpr TimePoint time_after(TimePoint start, Duration length) {
  return length < TimePoint::max() - start ? start + length : TimePoint::max();
}

} // namespace modelforge
