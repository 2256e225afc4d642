#pragma once

#include "http/client.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

/// HTTP for thousands of transfers at once: libcurl on one thread of its own, waiting on readiness. While that thread
/// sleeps, `open` does its work where it is called.
///
/// Every member of `transport` may be called from any thread and never blocks (but `shutdown` and the destructor).
/// Callbacks come one at a time, on the transport's thread or within `open`, be it for another transfer: hand over what
/// they bring and return; never block in one, never throw from one, hold no lock in `open` that one takes. Calling
/// `fetch`, `open`, `grant` and `cancel` from inside a callback is fine, ending the transport too.

namespace modelforge::http {

/// How a transport works; it copies them when it is made.
struct transport_options {
  /// PEM bundle of trusted authorities. Empty: CURL_CA_BUNDLE, else SSL_CERT_FILE, else libcurl's default.
  std::string ca_file{};
  /// Folder of further ones, by OpenSSL's hashes. Empty: SSL_CERT_DIR, where neither `ca_file` nor CURL_CA_BUNDLE is
  /// given.
  std::string ca_folder{};
  std::string user_agent = "modelforge";
  std::size_t transfers_per_multi = 1000; ///< libcurl slows down with the number in one multi handle.
  std::size_t max_idle_connections = 256; ///< Kept alive, per multi handle; roughly.
  std::chrono::seconds max_idle_time{55}; ///< A kept connection idle for longer is not used again.
  std::size_t initial_credit = 64u << 10; ///< Bytes a transfer may deliver before `grant` is needed.
  /// For tests of slow name resolution only: HOST:PORT:ADDRESS entries as of CURLOPT_RESOLVE.
  std::vector<std::string> resolve{};
};

/// Counters since the start, and what is there now.
struct transport_stats {
  uint64_t started = 0;
  uint64_t succeeded = 0; ///< Ended with a whole answer.
  uint64_t failed = 0;
  uint64_t cancelled = 0;
  uint64_t connections = 0; ///< Connections made.
  std::size_t active = 0;   ///< Transfers that have not ended.
  std::size_t waiting = 0;  ///< Of these, waiting for another transfer to resolve their host.
  std::size_t paused = 0;   ///< Of these, out of credit.
  std::size_t multis = 0;   ///< Multi handles.
};

/// Owns libcurl, its thread and its connections.
class transport : public client {
public:
  explicit transport(transport_options options = {});

  /// Cancels what is left (each receiver still gets its `on_end`), then ends the thread. In a callback it does not wait
  /// for that.
  ~transport() override;

  transport(const transport&) = delete;
  transport& operator=(const transport&) = delete;

  transfer_id fetch(request request, std::function<void(response)> done) override;

  /// Shares no connection over HTTP/2: libcurl would buffer up to 32 MiB of each stream that is paused there.
  transfer_id open(request request, std::shared_ptr<receiver> receiver) override;

  void grant(transfer_id id, std::size_t bytes) override;
  void cancel(transfer_id id) override;
  void cancel_after(transfer_id id, std::chrono::nanoseconds time) override;

  /// Takes nothing new (new transfers end as `draining`), waits up to `grace` for what is running, cancels the rest
  /// and returns when the thread has ended and every socket is closed. Must not be called from a callback. After it,
  /// new transfers end as `draining` within `fetch` or `open` itself, for want of another thread.
  void shutdown(std::chrono::nanoseconds grace);

  transport_stats stats() const;

  class loop; // defined in loop.hpp

private:
  std::shared_ptr<loop> loop_; ///< Also held by calls, for a callback may end the transport meanwhile.
};

} // namespace modelforge::http
