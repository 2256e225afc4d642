#pragma once

#include <modelforge/messages/batch.hpp>
#include <modelforge/messages/status.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace modelforge::cli {

/// Columns of the terminal that standard error is; 80 where it is none.
std::size_t terminal_width();

/// Says what the requests that wait at a provider wait for, e.g. "waiting 12 s for the rate limit"; empty where they go
/// out as they come, or wait for nothing but a free slot.
std::string wait_text(const provider_status& status);

/// Says how the first of a batch's jobs at its providers stands, and how many more there are; empty without any.
std::string job_text(const std::vector<batch_job_status>& jobs);

/// Renders one line about a batch, without line end: "answered 12/60, failed 1, in flight 5, 8.4/s, 0:06 left".
/// `expected` is the number of items where it is known beforehand; `hindrance`, what the batch waits for, comes last.
std::string progress_text(const batch_progress& progress, std::optional<uint64_t> expected,
                          const std::string& hindrance = {});

/// Renders the same for a terminal of `width` columns, with a bar before it as far as there is room; never longer than
/// `width`. Where there is room for less, what it waits for stays.
std::string progress_bar(const batch_progress& progress, std::optional<uint64_t> expected, std::size_t width,
                         const std::string& hindrance = {});

/// Renders minutes and seconds: "0:06", "12:34", "1:02:03".
std::string clock_text(std::chrono::nanoseconds time);

/// Returns how long a log waits for its next line, where it waited `last` for this one: longer and longer while none
/// has news, so that a provider that is down for a night does not fill it.
std::chrono::nanoseconds next_line_pause(std::chrono::nanoseconds last, bool is_news);

/// Shows a batch's progress on standard error: a bar that is drawn again on a terminal, else a plain line every few
/// seconds, and ever fewer while nothing comes.
class progress_display {
public:
  using time_point = std::chrono::steady_clock::time_point;

  progress_display(std::optional<uint64_t> expected, bool quiet);

  /// Shows the newest figures, if it is time to.
  void show(const batch_progress& progress, const std::string& hindrance, time_point now);

  /// Removes the bar from the terminal.
  void clear();

private:
  std::optional<uint64_t> expected_;
  bool quiet_;
  bool terminal_;
  bool drawn_ = false;
  std::chrono::nanoseconds pause_; ///< Until it is shown again.
  uint64_t done_ = 0;              ///< Items, when it was shown last.
  time_point shown_{};
};

} // namespace modelforge::cli
