#pragma once

#include "log/target.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace modelforge::log {

/// Gathers lines and writes them. What cannot be written is counted, said once on standard error, and told by a line of
/// its own as soon as that can be written: at each `flush`, else a second later.
///
/// Of one thread; the count may be read by any.
class line_output {
public:
  using time_point = std::chrono::steady_clock::time_point;

  /// `name`: what is written, for people: "the log".
  line_output(target to, std::string name) : target_(std::move(to)), name_(std::move(name)) {}

  const target& to() const { return target_; }

  // -- other settings ---------------------------------------------------------------

  void move_to(target to);
  void reopen();

  // -- writing ----------------------------------------------------------------------

  /// Adds a line to those that are not written yet: `append` puts it behind them, its end included. One that throws
  /// adds nothing.
  template <class F>
  void add(F append) {
    auto size = lines_.size();
    try {
      append(lines_);
    } catch (...) {
      lines_.resize(size);
      throw;
    }
    end_line();
  }

  /// So many did not come to be lines, for that reason, which lives on.
  void note_missing(uint64_t count, std::string_view reason) {
    missing_ += count;
    if (count > 0)
      reason_ = reason;
  }

  /// Writes what there is. Where lines are missing, `tell` is to say so, in a line or elsewhere: how many, for how long
  /// that is so, and why.
  template <class F>
  void flush(time_point now, F tell) {
    write();
    if (missing_ == 0)
      return;
    missing_since_ = missing_since_.value_or(now);
    retry_at_ = now + retry_interval;
    tell(missing_, now - *missing_since_, problem_.empty() ? std::string{reason_} : problem_);
    auto count = std::exchange(missing_, 0);
    if (write()) {
      problem_.clear();
      missing_since_.reset();
      return;
    }
    --lost_; // that line is none of them
    missing_ = count;
  }

  /// When to `flush` again, if nothing comes until then; empty: there is no need.
  std::optional<time_point> wake_at() const { return missing_ > 0 ? std::optional{retry_at_} : std::nullopt; }

  /// Lines that could not be written.
  uint64_t lost() const { return lost_; }

private:
  static constexpr auto retry_interval = std::chrono::seconds{1};

  void end_line();
  bool write();
  void complain(const std::string& why);
  void forget_problem();

  target target_;
  const std::string name_;
  std::string lines_;
  uint64_t lines_count_ = 0;
  uint64_t missing_ = 0; ///< And not told yet.
  std::optional<time_point> missing_since_;
  std::string_view reason_; ///< Why lines are missing that were never to be written.
  std::string problem_;     ///< Why nothing can be written; empty: it can.
  time_point retry_at_{};
  std::atomic<uint64_t> lost_{0};
};

} // namespace modelforge::log
