#pragma once

#include "log/entry.hpp"
#include "log/request_record.hpp"

#include <modelforge/config/log_settings.hpp>
#include <modelforge/log/start_log.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace modelforge {

class secret_mask;

} // namespace modelforge

namespace modelforge::log {

/// Takes events from any thread and has a thread of its own write them, so that nobody who has something to tell waits:
/// what finds no room, or cannot be written, is dropped, counted, and told as `log.dropped` as soon as that is
/// possible. In a process that was forked off it takes nothing.
///
/// The access log has a thread and a queue of its own, so that neither a busy program nor a full disk of one log costs
/// the other a line.
class logger {
public:
  /// Events that may wait to be written, and their size.
  static constexpr std::size_t max_waiting = 10'000;
  static constexpr std::size_t max_waiting_bytes = 8u << 20;

  /// The same of the access log: all the requests that a provider's end ends at once have room.
  static constexpr std::size_t max_waiting_records = 50'000;
  static constexpr std::size_t max_waiting_record_bytes = 64u << 20;

  /// How long the end waits for what is not written yet.
  static constexpr auto max_flush = std::chrono::seconds{2};

  static std::variant<log_handle, failure> start(const log_settings& settings, log_options options);

  ~logger();

  logger(const logger&) = delete;
  logger& operator=(const logger&) = delete;

  bool wants(log_level level) const noexcept {
    return static_cast<int>(level) <= threshold_.load(std::memory_order_relaxed);
  }
  bool wants(event what) const noexcept { return wants(rule_of(what).level); }

  /// Whether prompts are to be told.
  bool wants_content() const noexcept { return content_.load(std::memory_order_relaxed) && wants(log_level::debug); }

  /// Tells an event, if it is wanted. Never waits for anything, never throws.
  void write(entry happened) noexcept;

  /// Whether the access log is to have each request.
  bool wants_access() const noexcept { return access_.load(std::memory_order_acquire); }

  /// Has a request that ended now in the access log, if there is one. Never waits for anything, never throws.
  void write(request_record ended) noexcept;

  /// Masks these in all texts from now on.
  void mask(std::shared_ptr<const secret_mask> secrets);

  void reopen();

  /// Whether what these settings name can be had; nothing changes yet. A failure says why not.
  std::optional<failure> check(const log_settings& settings) const;

  /// Goes by other settings from now on. What they name has been checked; what cannot be had now is told, and the
  /// place before is kept.
  void reconfigure(const log_settings& settings);

  /// Events that were dropped, for want of room or because they could not be written.
  uint64_t dropped() const;

  /// Requests that the access log has not, for want of room or because they could not be written.
  uint64_t dropped_requests() const;

  /// Calls of the host's sink that threw.
  uint64_t sink_failures() const;

private:
  class event_writer;
  class access_writer;

  logger(std::shared_ptr<event_writer> events, std::shared_ptr<access_writer> requests, log_options options);

  void take(const log_settings& settings);

  /// Where lines go now, by `log.sink` and `log.access`.
  struct names {
    std::string sink;
    std::string access;
  };

  names names_now() const;

  std::shared_ptr<event_writer> events_; ///< Shared with the thread, which may outlast this where a sink hangs.
  std::shared_ptr<access_writer> requests_;
  log_options options_;
  mutable std::mutex mutex_; ///< Of the next two.
  names names_;
  std::shared_ptr<const secret_mask> secrets_;
  std::atomic<int> threshold_{-1}; ///< A `log_level`; -1: there is nobody to tell.
  std::atomic<bool> content_{false};
  std::atomic<bool> access_{false};
};

} // namespace modelforge::log

namespace modelforge {

/// Tells an event to whoever keeps the log, if there is one. `make` is called only where it is wanted.
template <class F>
void tell_log(const log_handle& log, log::event what, F make) {
  if (log != nullptr && log->wants(what))
    log->write(make(log::entry{what}));
}

/// Tells all of them, in order: events, or requests for the access log.
template <class T>
void tell_log(const log_handle& log, std::vector<T> happened) {
  if (log != nullptr)
    for (auto& each : happened)
      log->write(std::move(each));
}

} // namespace modelforge
