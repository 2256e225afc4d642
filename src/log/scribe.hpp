#pragma once

#include "log/target.hpp"
#include "log/throttle.hpp"

#include <modelforge/config/log_settings.hpp>
#include <modelforge/log/record.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace modelforge {

class secret_mask;

} // namespace modelforge

namespace modelforge::log {

/// Turns events into lines and writes them, or hands them to the host's sink. What cannot be written is counted, said
/// once on standard error, and told as `log.dropped` as soon as it can be: at each `flush`, else a second later.
///
/// Of one thread; the counts may be read by any.
class scribe {
public:
  using time_point = throttle::time_point;

  /// `sink`: gets the events in place of `to`; may be empty.
  scribe(target to, log_format format, log_sink sink)
    : target_(std::move(to)), format_(format), sink_(std::move(sink)) {}

  // -- other settings ---------------------------------------------------------------

  void mask(std::shared_ptr<const secret_mask> secrets) { secrets_ = std::move(secrets); }
  void set_format(log_format format) { format_ = format; }
  void move_to(target to);
  void reopen();

  // -- writing ----------------------------------------------------------------------

  void write(throttle::timed& happened);

  /// So many found no room.
  void note_missing(uint64_t count) { missing_ += count; }

  void flush(time_point now);

  /// When to `flush` again, if nothing comes until then; empty: there is no need.
  std::optional<time_point> wake_at() const { return missing_ > 0 ? std::optional{retry_at_} : std::nullopt; }

  /// Events that could not be written.
  uint64_t lost() const { return lost_; }

  /// Calls of the host's sink that threw.
  uint64_t sink_failures() const { return sink_failures_; }

private:
  void hand_over(const log_record& record);
  bool write_lines();
  void complain(const std::string& why);
  void forget_problem();

  target target_;
  log_format format_;
  const log_sink sink_;
  std::shared_ptr<const secret_mask> secrets_; ///< Null: there are none.
  std::string lines_;
  uint64_t lines_count_ = 0;
  uint64_t missing_ = 0; ///< And not told yet.
  std::optional<time_point> missing_since_;
  std::string problem_; ///< Why nothing can be written; empty: it can.
  time_point retry_at_{};
  std::atomic<uint64_t> lost_{0};
  std::atomic<uint64_t> sink_failures_{0};
};

} // namespace modelforge::log
