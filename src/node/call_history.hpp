#pragma once

#include <modelforge/messages/attempt.hpp>

#include <chrono>
#include <cstdint>
#include <vector>

namespace modelforge::node {

/// The attempts that a call to another node's provider has taken so far, by all who tried: those that its asker knew
/// of, those that owners have reported, and those that owners may have made before they were lost. Of the last there
/// is no report, so a record stands in for each (`errc::node_lost`).
///
/// Nobody makes more of them than `attempts_made::spent` leaves, whichever owner gets the call next.
class call_history {
public:
  using time_point = std::chrono::steady_clock::time_point;

  call_history() = default;

  /// Of a call accepted at that time, with what its asker knows.
  call_history(attempts_made earlier, time_point accepted);

  /// Attempts that others are known to have spent on it.
  uint32_t spent() const { return earlier_.spent; }

  /// It goes out now; when its owner is lost, that is when the attempt began.
  void on_sent(time_point now) { sent_ = now; }

  /// `spent` attempts have possibly been made, the last of them by an owner that was lost at `lost`.
  void on_lost(uint32_t spent, time_point lost);

  /// Its owner has reported these records; fewer than are known are old news.
  void on_report(std::vector<attempt_record> records);

  /// What the next owner is to know.
  attempts_made as_of(time_point now) const;

  /// The records, for the answer to the caller; none are left here.
  std::vector<attempt_record> take_records() { return std::move(earlier_.records); }

private:
  attempts_made earlier_;
  uint32_t unknown_ = 0; ///< Attempts of the asker's for which there is no record.
  time_point accepted_{};
  time_point sent_{};
};

} // namespace modelforge::node
