#pragma once

#include "http/client.hpp"
#include "log/logger.hpp"
#include "trace/otlp.hpp"
#include "trace/outbox.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace modelforge {

class secret_mask;

} // namespace modelforge

namespace modelforge::trace {

/// Where spans go, and of which requests.
struct destination {
  std::string url{};                   ///< http:// or https://, with the path.
  std::vector<http::header> headers{}; ///< Secret.
  resource from{};
  double share = 1; ///< Of requests that come without a trace.
};

/// Takes the accounts of requests that have ended from any thread, and has a thread and a transport of its own write
/// and send their spans, so that nothing of it is on a request's way: what finds no room is dropped and counted. When
/// the collector takes nothing, and when it does again, the log is told. In a process that was forked off it takes
/// nothing.
///
/// Its end waits up to `max_flush` for what has not been sent.
class exporter {
public:
  static constexpr auto max_flush = std::chrono::seconds{2};

  /// Makes the transport, when it is needed first.
  using client_maker = std::function<std::shared_ptr<http::client>()>;

  /// `flush`: how long the end waits.
  exporter(log_handle log, client_maker make_client, uint64_t seed, std::chrono::nanoseconds flush = max_flush);
  ~exporter();

  exporter(const exporter&) = delete;
  exporter& operator=(const exporter&) = delete;

  /// What ends from now on goes there, and what waits, too; empty: nothing is traced from now on, and what waits goes
  /// to the place before. Of its owner alone.
  void send_to(std::optional<destination> where);

  /// Of requests that come without a trace, this share is to be traced; empty: none is, nor are others.
  std::optional<double> share() const noexcept;

  /// Has the spans of a request sent that has ended now and has a `trace`. Never waits for anything, never throws.
  void take(log::request_record ended) noexcept;

  /// Masks these in all texts from now on.
  void mask(std::shared_ptr<const secret_mask> secrets);

  span_counts counts() const;

private:
  class core;

  void start();

  const pid_t process_ = getpid();
  std::chrono::nanoseconds flush_;
  client_maker make_client_;
  std::atomic<double> share_{-1};          ///< Negative: nothing is traced.
  std::shared_ptr<core> core_;             ///< Shared with the answers of the transport.
  std::shared_ptr<http::client> client_{}; ///< Null until `start`. It ends, and with it all answers, before `core_`.
  std::unique_ptr<std::thread> thread_{};
};

/// Has each of these in the access log and in the traces, where it is wanted there.
inline void hand_on(std::vector<log::request_record> ended, const log_handle& log,
                    const std::shared_ptr<exporter>& traces) {
  for (auto& each : ended) {
    auto is_traced = each.trace && traces != nullptr;
    if (log != nullptr && log->wants_access())
      log->write(is_traced ? each : std::move(each));
    if (is_traced)
      traces->take(std::move(each));
  }
}

} // namespace modelforge::trace
