#pragma once

#include "base/file.hpp"

#include <modelforge/config/secret.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace modelforge::cli {

/// Tells systemd, or another service manager that speaks its protocol, how the service stands: each message is a
/// datagram of lines NAME=VALUE to the socket that NOTIFY_SOCKET names (sd_notify(3)). Without that variable nothing is
/// sent and nothing costs anything. Not for several threads at once.
class service_manager {
public:
  using time_point = std::chrono::steady_clock::time_point;

  explicit service_manager(const environment& env = process_environment());

  /// Why messages do not arrive, for people; empty: they do, or nobody wants any.
  const std::string& problem() const { return problem_; }

  /// Whether there is one that may be told: NOTIFY_SOCKET names a socket.
  bool is_there() const { return socket_.get() >= 0; }

  /// The service does its work, after its start or a reload.
  void ready();

  /// Settings are read again from now until `ready`.
  void reloading();

  /// The service ends; at most `max_time` is needed for that, however short the unit's TimeoutStopSec= is.
  void stopping(std::chrono::nanoseconds max_time);

  /// One line for people, as `systemctl status` shows it. Sent where it is another one than before.
  void status(std::string_view line);

  /// What does the service's work has shown at `now` that it still does. Sent at most once in half of the time after
  /// which the manager takes a service for hung (WatchdogSec=).
  void alive(time_point now);

private:
  void send(std::string_view message);

  base::file socket_;
  std::string address_; ///< As in sockaddr_un's path: an abstract one begins with a zero.
  std::string problem_;
  std::string status_;
  std::optional<std::chrono::nanoseconds> watchdog_pause_; ///< Between two signs of life; empty: nobody waits for any.
  std::optional<time_point> alive_at_;                     ///< When the last one was sent.
};

} // namespace modelforge::cli
