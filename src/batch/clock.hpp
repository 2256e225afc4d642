#pragma once

#include <chrono>

namespace modelforge::batch {

/// A point in time as the batch's classes are given it: they read no clock.
using time_point = std::chrono::steady_clock::time_point;

} // namespace modelforge::batch
