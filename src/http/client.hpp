#pragma once

#include "http/message.hpp"

#include <modelforge/messages/errc.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What the actors need of HTTP. `transport` is the real thing; tests bring their own.

namespace modelforge::http {

/// One request. Timeouts of 0 are off.
struct request {
  std::string method = "POST";
  std::string url{};             ///< http:// or https://; redirects are never followed.
  std::vector<header> headers{}; ///< A name or value with CR, LF or NUL fails the transfer before anything is sent.
  std::string body{};
  std::shared_ptr<const std::string> shared_body{}; ///< Sent instead of `body`, without a copy; null: there is none.
  std::chrono::nanoseconds connect_timeout{0};      ///< From the start of resolving to the end of TLS.
  std::chrono::nanoseconds first_byte_timeout{0};   ///< From the request's last byte to the answer's first.
  std::chrono::nanoseconds idle_timeout{0};         ///< Between bytes of the body; does not run while we pause it.
  std::chrono::nanoseconds total_timeout{0};        ///< From `fetch`/`open` to the end, pauses included.
  uint64_t max_response_bytes = 64u << 20;          ///< Of the decoded body.
  bool http2 = true;                                ///< Allow HTTP/2 on https.
  bool compression = true; ///< Ask for encodings, else for none (streams). What is encoded is decoded in any case.
  /// Called, as a receiver is, when the request is being handed to the socket with its last byte: at most once,
  /// before `on_end`. Not called where the answer comes first, or the request does not go out whole.
  std::function<void()> on_written{};

  /// The body, whosever it is.
  const std::string& content() const { return shared_body ? *shared_body : body; }
};

/// How far a transfer had come when it failed.
enum class phase : uint8_t { queued, resolve, connect, tls, send, wait, receive };

/// Why a transfer failed, in terms that decide whether it may be repeated.
struct transfer_error {
  errc code = errc::internal; ///< invalid_request, resolve_failed, connect_failed, tls_failed, connection_lost,
                              ///< attempt_timeout, response_too_large, invalid_response, cancelled, draining;
                              ///< permission: a proxy refuses; configuration: what is set is no proxy.
  http::phase phase = phase::queued;
  bool request_written = false; ///< The whole request had been given to the socket: the server may have acted on it.
  bool response_begun = false;  ///< At least one byte of an answer had come.
  bool refused = false;         ///< The server said that it has not processed the request (HTTP/2's GOAWAY or
                                ///< REFUSED_STREAM): as good as never sent, then `request_written` is false.
  bool decoded = false;         ///< All that came was decompressed, but the end of the compressed body is missing.
  std::string message{};        ///< For people; no secrets, no URL query.
  std::string proxy{};          ///< "HOST:PORT" of the proxy on the way; empty: there was none.
};

/// Where a transfer's time went; each counted from its start, 0 when it did not get that far.
struct transfer_times {
  std::chrono::nanoseconds connected{0}; ///< Ready to send, TLS included; about 0 on a reused connection.
  std::chrono::nanoseconds first_byte{0};
  std::chrono::nanoseconds total{0};
};

/// How a transfer ended.
struct transfer_end {
  std::optional<transfer_error> error; ///< Empty: the answer arrived whole (whatever its status).
  transfer_times times;
  bool reused_connection = false;
};

/// A whole answer, or what came of it before the error.
struct response {
  response_head head;
  std::string body;
  transfer_end end;
};

/// Names a transfer; never used twice by one transport. 0 names none.
using transfer_id = uint64_t;

/// Receives a transfer piece by piece. All calls but `on_open` come one at a time, on the transport's thread or within
/// a call to `open`, be it for another transfer; `on_end` exactly once; after it there is only `flush`.
class receiver {
public:
  virtual ~receiver() = default;

  /// Says the transfer's id, within `open` and before anything else.
  virtual void on_open(transfer_id) {}

  /// The final status and headers; at most once, before any data.
  virtual void on_head(response_head head) = 0;

  /// The next bytes of the decoded body. Each byte uses one byte of the transfer's credit.
  virtual void on_data(std::string_view bytes) = 0;

  /// The transfer has ended. What had come before an error has been passed on.
  virtual void on_end(transfer_end end) = 0;

  /// There is nothing more of it for now: comes behind one or several of the calls above, so that whoever waits for
  /// what they bring is woken once for all of it. May come without need.
  virtual void flush() {}
};

/// Sends requests, each over the wire at most once: whether one is repeated is the caller's to decide. May be called
/// from any thread; never blocks.
class client {
public:
  virtual ~client() = default;

  /// Sends a request and collects the answer; `done` is called exactly once, with whatever came of it.
  virtual transfer_id fetch(request request, std::function<void(response)> done) = 0;

  /// Sends a request and hands the answer on piece by piece, within the transfer's credit.
  virtual transfer_id open(request request, std::shared_ptr<receiver> receiver) = 0;

  /// Adds credit: the transfer may deliver so many more bytes. An ended transfer ignores it.
  virtual void grant(transfer_id id, std::size_t bytes) = 0;

  /// Aborts a transfer: its connection is closed, or its HTTP/2 stream reset, at once; it ends as `cancelled`.
  virtual void cancel(transfer_id id) = 0;

  /// Aborts a transfer unless it ends within this time: what it still has to say is of no use, but a connection that
  /// ends well is used again.
  virtual void cancel_after(transfer_id id, std::chrono::nanoseconds time) = 0;
};

} // namespace modelforge::http

template <>
inline constexpr auto modelforge::enum_names<modelforge::http::phase> =
  std::to_array<std::string_view>({"queued", "resolve", "connect", "tls", "send", "wait", "receive"});
