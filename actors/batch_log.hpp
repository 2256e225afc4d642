#pragma once

#include "log/logger.hpp"

#include <modelforge/messages/batch.hpp>
#include <modelforge/messages/batch_job.hpp>
#include <modelforge/messages/batch_options.hpp>

#include <cstddef>
#include <string>
#include <utility>

namespace modelforge {

/// What a batch's coordinator tells the log.
class batch_log {
public:
  batch_log(log_handle log, const batch_options& options)
    : log_(std::move(log)), input_(options.input), output_(options.output) {}

  void started(std::size_t providers) const {
    tell_log(log_, log::event::batch_started, [&](log::entry told) {
      return std::move(told)
        .with(log::field::input, input_)
        .with(log::field::output, output_)
        .with(log::field::providers, providers);
    });
  }

  void job_started(const batch_job_request& asked) const {
    tell_log(log_, log::event::job_started, [&](log::entry told) {
      return std::move(told).with(log::field::job, asked.nonce).with(log::field::items, asked.items.size());
    });
  }

  void job_ended(const std::string& nonce, const std::string& reason) const {
    tell_log(log_, log::event::job_ended, [&](log::entry told) {
      return std::move(told).with(log::field::job, nonce).with(log::field::reason, reason);
    });
  }

  /// Exactly once: that it is done, or why it has stopped.
  void ended(const batch_report& report) const {
    if (report.stopped_by || report.cancelled)
      return tell_log(log_, log::event::batch_stopped, [&](log::entry told) {
        return std::move(told)
          .with(log::field::output, output_)
          .with(log::field::reason, report.stopped_by ? report.stopped_by->message : std::string{"cancelled"});
      });
    tell_log(log_, log::event::batch_ended, [&](log::entry told) {
      return std::move(told)
        .with(log::field::output, output_)
        .with(log::field::items, report.answered + report.failed)
        .with(log::field::answered, report.answered)
        .with(log::field::failed, report.failed)
        .with(log::field::duration_seconds, report.elapsed);
    });
  }

private:
  log_handle log_;
  std::string input_;
  std::string output_;
};

} // namespace modelforge
