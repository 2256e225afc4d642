#pragma once

#include <modelforge/messages/errc.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

/// What was done for a request, attempt by attempt: every `completion` and `failure` brings these records, so that a
/// host can see where time, money and retries went without asking anybody.
///
/// All times are spans in nanoseconds, never points in time: no two nodes have the same clock.

namespace modelforge {

/// The reasons for which a request stands still between two attempts, or before the first one. They are for people and
/// for metrics; nobody decides by them.
///
/// What an attempt waited for before it was dispatched; where several held it, the last one.
enum class wait_reason : uint8_t {
  nothing,
  slot,         ///< `max_concurrent` requests were in flight.
  rate_limit,   ///< Our own pacing.
  server_wait,  ///< A wait that the server named.
  backoff,      ///< Our own pause after a failure.
  retry_budget, ///< Too many retries lately.
  breaker,      ///< The circuit was open.
};

template <>
inline constexpr auto enum_names<wait_reason> = std::to_array<std::string_view>({"nothing", "slot", "rate_limit",
                                                                                 "server_wait", "backoff",
                                                                                 "retry_budget", "breaker"});

/// One HTTP exchange made for a request. It is counted as made from the moment it is handed to the transport, also if
/// the connection then fails; `waited` + `duration` of all attempts, and the parsing, make up `timings::total`.
struct attempt_record {
  uint32_t number = 1; ///< From 1; the same number went to the server in a header.
  std::string lane;    ///< The credential and limit group it used.
  wait_reason waited_for = wait_reason::nothing;
  std::chrono::nanoseconds waited{0};   ///< From acceptance, or the end of the attempt before, to dispatch.
  std::chrono::nanoseconds started{0};  ///< Its dispatch, counted from the request's acceptance.
  std::chrono::nanoseconds duration{0}; ///< From dispatch to its end.
  /// The status of the answer's head. An attempt may fail with a 200: the body, or the rest of a stream, was no answer.
  uint16_t http_status = 0; ///< 0: no answer came.
  errc result = errc::none; ///< How the attempt was classified; `none` is success.

  friend bool operator==(const attempt_record&, const attempt_record&) = default;
};

/// What was spent on a request before it came to an actor that takes it now: elsewhere, by somebody who is lost or has
/// given it on. All who take a request in turn spend one `retry.max_attempts`.
///
/// Hosts leave it as it is by default. It is set by our own actors: by a proxy whose node was lost while it had the
/// request, and by a batch that goes over to another provider. What a peer says here is cut to what is possible before
/// anybody goes by it, since it may be wrong or malicious.
struct attempts_made {
  uint32_t spent = 0;                  ///< Attempts that a provider may have run; the next one is number `spent` + 1.
  std::chrono::nanoseconds age{0};     ///< Since the request was accepted first; clipped to what is possible.
  std::vector<attempt_record> records; ///< In order; the answer repeats them before its own. Some may be unknown.
  bool report = false; ///< The asker is a provider actor too, and is to hear of each attempt that fails.

  friend bool operator==(const attempts_made&, const attempts_made&) = default;
};

// What CAF sends: the fields in this order, without names. Whoever changes it raises `wire_version` (node_hello.hpp).
template <class Inspector>
bool inspect(Inspector& f, attempt_record& x) {
  return f.object(x).fields(f.field("number", x.number), f.field("lane", x.lane), f.field("waited_for", x.waited_for),
                            f.field("waited", x.waited), f.field("started", x.started), f.field("duration", x.duration),
                            f.field("http_status", x.http_status), f.field("result", x.result));
}

template <class Inspector>
bool inspect(Inspector& f, attempts_made& x) {
  return f.object(x).fields(f.field("spent", x.spent), f.field("age", x.age), f.field("records", x.records),
                            f.field("report", x.report));
}

} // namespace modelforge
