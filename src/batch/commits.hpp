#pragma once

#include "batch/steps.hpp"

#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <variant>

namespace modelforge::batch {

/// What may only be done when what was recorded before it outlives a crash: a job is created when its intent is safe,
/// and results of a job are confirmed when they are.
using safe_step = std::variant<ask_for_job, confirm_results>;

/// Counts what is given to the recorder and what of it is safe, and holds back what waits for that.
///
/// Things are numbered from 1 in the order in which they are given; the recorder says how many are safe, in that order.
/// Used by `schedule`.
class commits {
public:
  /// One more thing is given. Returns its number.
  uint64_t give() { return ++given_; }

  /// Holds a step back until all that was given before is safe.
  void when_safe(safe_step step) { waiting_.emplace_back(given_, std::move(step)); }

  void keep(uint64_t kept) { kept_ = kept; }

  /// Returns the next step that has waited long enough.
  std::optional<safe_step> next() {
    if (waiting_.empty() || waiting_.front().first > kept_)
      return {};
    auto step = std::move(waiting_.front().second);
    waiting_.pop_front();
    return step;
  }

  /// Things given that are not safe yet.
  uint64_t unsafe() const { return given_ - kept_; }

  bool has_waiting() const { return !waiting_.empty(); }

  /// Nothing more can be kept: what waits will never be safe.
  void close() {
    closed_ = true;
    waiting_.clear();
  }
  bool closed() const { return closed_; }

private:
  uint64_t given_ = 0;
  uint64_t kept_ = 0;
  std::deque<std::pair<uint64_t, safe_step>> waiting_; ///< With the number that must be safe.
  bool closed_ = false;
};

} // namespace modelforge::batch
