#pragma once

#include "log/line_output.hpp"
#include "log/target.hpp"
#include "log/throttle.hpp"

#include <modelforge/config/log_settings.hpp>
#include <modelforge/log/record.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

namespace modelforge {

class secret_mask;

} // namespace modelforge

namespace modelforge::log {

/// Turns events into lines and writes them, or hands them to the host's sink. What is missing is told as `log.dropped`
/// (see `line_output`).
///
/// Of one thread; the counts may be read by any.
class scribe {
public:
  using time_point = throttle::time_point;

  /// `sink`: gets the events in place of `to`; may be empty.
  scribe(target to, log_format format, log_sink sink)
    : output_(std::move(to), "the log"), format_(format), sink_(std::move(sink)) {}

  // -- other settings ---------------------------------------------------------------

  void mask(std::shared_ptr<const secret_mask> secrets) { secrets_ = std::move(secrets); }
  void set_format(log_format format) { format_ = format; }
  void move_to(target to) { output_.move_to(std::move(to)); }
  void reopen() { output_.reopen(); }

  // -- writing ----------------------------------------------------------------------

  void write(throttle::timed& happened);

  /// So many did not come here; see `line_output`.
  void note_missing(uint64_t count, std::string_view reason) { output_.note_missing(count, reason); }

  void flush(time_point now);

  /// When to `flush` again, if nothing comes until then; empty: there is no need.
  std::optional<time_point> wake_at() const { return output_.wake_at(); }

  /// Events that could not be written.
  uint64_t lost() const { return output_.lost(); }

  /// Calls of the host's sink that threw.
  uint64_t sink_failures() const { return sink_failures_; }

private:
  void hand_over(const log_record& record);

  line_output output_;
  log_format format_;
  const log_sink sink_;
  std::shared_ptr<const secret_mask> secrets_; ///< Null: there are none.
  std::atomic<uint64_t> sink_failures_{0};
};

} // namespace modelforge::log
