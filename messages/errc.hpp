#pragma once

#include <modelforge/messages/enums.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace modelforge {

/// Why a request did not end in a completion. The numbers are part of the wire format: append only.
///
/// The code says what a program should do, not what happened: what happened is in the `failure` that comes with it.
/// Before a host sees one of them, everything that ModelForge could do about it has been done: what may pass
/// (`rate_limited`, `overloaded`, `server_error`, the connection's failures, `attempt_timeout`) has been tried again as
/// far as the settings and the deadline allowed. Those from `invalid_request` to `not_found` will fail again unless the
/// request, the key or the settings change; `outcome_unknown` and `stream_interrupted` may have cost money,
/// and `wrong_format` has.
enum class errc : uint8_t {
  none = 0,           ///< No error (CAF's meaning of 0).
  invalid_request,    ///< The request cannot be sent, or the provider refused it as malformed. Do not repeat.
  unsupported,        ///< The provider has no such feature; names the field.
  too_large,          ///< Needs more than a limit can ever grant, or exceeds a size bound.
  context_length,     ///< The prompt does not fit the model.
  content_filtered,   ///< The provider's filter blocked it.
  authentication,     ///< HTTP 401: key missing, wrong or expired.
  permission,         ///< HTTP 403: the key may not do this.
  not_found,          ///< HTTP 404: no such model, path or object.
  quota_exhausted,    ///< Money or a long-term quota is used up; waiting minutes does not help.
  rate_limited,       ///< HTTP 429 by rate; waiting helps.
  overloaded,         ///< HTTP 503 or 529: the provider has too much to do.
  server_error,       ///< Other 5xx.
  resolve_failed,     ///< The host name has no address.
  connect_failed,     ///< No connection: refused, unreachable, or its timeout passed.
  tls_failed,         ///< TLS handshake or certificate failure.
  connection_lost,    ///< The connection broke after it was made.
  attempt_timeout,    ///< One attempt exceeded its first-token, idle or total timeout.
  deadline_exceeded,  ///< The request's deadline passed, or would pass before it can be sent.
  invalid_response,   ///< The answer is no valid answer: empty, HTML, broken JSON, missing parts.
  response_too_large, ///< The answer exceeds the size limit.
  outcome_unknown,    ///< It was sent, no answer came, and it must not be sent twice.
  queue_full,         ///< Back-pressure: too much is queued already.
  draining,           ///< The actor takes nothing new; it is shutting down.
  circuit_open,       ///< The breaker is open; the provider failed too often.
  cancelled,          ///< The caller no longer wants it.
  duplicate_request,  ///< A request with this id is alive already.
  slow_reader,        ///< A subscriber withheld demand for too long.
  stream_interrupted, ///< A stream broke after its first chunk had been handed over.
  callback_failed,    ///< A host's callback threw.
  node_lost,          ///< The node that owned the request is gone.
  configuration,      ///< A setting is wrong or missing; names it.
  io_failed,          ///< A file could not be read or written.
  internal,           ///< A bug of ours: please report it.
  wrong_format,       ///< The answer is whole, but not the JSON that was asked for: `failure::text` has it.
};

template <>
inline constexpr auto enum_names<errc> = std::to_array<std::string_view>({
  "none",
  "invalid_request",
  "unsupported",
  "too_large",
  "context_length",
  "content_filtered",
  "authentication",
  "permission",
  "not_found",
  "quota_exhausted",
  "rate_limited",
  "overloaded",
  "server_error",
  "resolve_failed",
  "connect_failed",
  "tls_failed",
  "connection_lost",
  "attempt_timeout",
  "deadline_exceeded",
  "invalid_response",
  "response_too_large",
  "outcome_unknown",
  "queue_full",
  "draining",
  "circuit_open",
  "cancelled",
  "duplicate_request",
  "slow_reader",
  "stream_interrupted",
  "callback_failed",
  "node_lost",
  "configuration",
  "io_failed",
  "internal",
  "wrong_format",
});

} // namespace modelforge
