#pragma once

#include "cluster/boot_clock.hpp"

#include <algorithm>
#include <cstdint>
#include <random>

namespace modelforge::cluster {

/// When the next question of a kind may go: one at a time, but that one without an answer keeps no other back for
/// longer than `answer_time`. After each failure the wait doubles from 50 ms up to `longest_wait`, of which between a
/// half and the whole is taken at random, so that nodes do not come in step.
///
/// A plain class: holds no clock.
class pace {
public:
  static constexpr duration first_wait = std::chrono::milliseconds{50};

  pace(duration answer_time, duration longest_wait) : answer_time_(answer_time), longest_wait_(longest_wait) {}

  /// When the next one may go.
  time_point due() const { return due_; }

  void asked(time_point now) { due_ = now + answer_time_; }

  void answered(time_point now) {
    failures_ = 0;
    due_ = now;
  }

  /// `hurry`: whether it may help to ask again soon.
  void failed(time_point now, std::mt19937_64& random, bool hurry = true) {
    auto wait = !hurry ? longest_wait_ : std::min(longest_wait_, first_wait * (1 << std::min(failures_, 10u)));
    ++failures_;
    due_ = now + wait / 2 + duration{static_cast<int64_t>(random() % static_cast<uint64_t>(wait.count() / 2 + 1))};
  }

private:
  duration answer_time_;
  duration longest_wait_;
  time_point due_ = time_point::min();
  uint32_t failures_ = 0;
};

} // namespace modelforge::cluster
