#pragma once

#include <modelforge/messages/attempt.hpp>
#include <modelforge/messages/errc.hpp>
#include <modelforge/messages/token_usage.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace modelforge {

/// Why a request ended without a completion, with what a person needs to act on it. Programs go by `code`; `message`
/// and `suggestion` are English sentences whose words may change with any version.
///
/// Travels inside a `caf::error` whose code is `code`; `failure_of()` takes it out again. Holds no secrets.
struct failure {
  errc code = errc::internal;
  std::string message; ///< What happened, one sentence for people.
  // Where it happened.
  std::string provider;            ///< The configured name, e.g. "openai".
  std::string model;               ///< The model that was asked; empty when none was chosen yet.
  std::string lane;                ///< The credential and limit group that was used; empty before dispatch.
  uint16_t http_status = 0;        ///< The last answer's status; 0 when there was none.
  std::string provider_code;       ///< The provider's own code or type, e.g. "invalid_api_key".
  std::string provider_message;    ///< The provider's own words, cut at 1,000 bytes.
  std::string provider_request_id; ///< What the provider's support asks for.
  // What may be done now, and what has been done.
  /// Asked for by the server, or predicted from our own limits. A request that comes again earlier would wait, or be
  /// refused, for the rest of it.
  std::optional<std::chrono::nanoseconds> retry_after; ///< A wait the server or our own queue named.
  std::string suggestion;                              ///< What to do about it; empty where we know nothing better.
  std::vector<attempt_record> attempts;                ///< In order; empty when nothing was sent.
  // What an answer that does not count has cost; nobody has to pay for it again to see it.
  std::string text{};                 ///< What came of it, as it came. Empty for streams, whose subscribers have it.
  std::optional<token_usage> usage{}; ///< Of that answer.
  std::optional<double> cost{};       ///< As in `completion`.
  /// It is the provider's trouble alone: its circuit breaker is open, else the request would have waited or been tried
  /// again.
  bool is_outage = false;

  friend bool operator==(const failure&, const failure&) = default;
};

// What CAF sends: the fields in this order, without names. Whoever changes it raises `wire_version` (node_hello.hpp).
template <class Inspector>
bool inspect(Inspector& f, failure& x) {
  return f.object(x).fields(
    f.field("code", x.code), f.field("message", x.message), f.field("provider", x.provider), f.field("model", x.model),
    f.field("lane", x.lane), f.field("http_status", x.http_status), f.field("provider_code", x.provider_code),
    f.field("provider_message", x.provider_message), f.field("provider_request_id", x.provider_request_id),
    f.field("retry_after", x.retry_after), f.field("suggestion", x.suggestion), f.field("attempts", x.attempts),
    f.field("text", x.text), f.field("usage", x.usage), f.field("cost", x.cost), f.field("is_outage", x.is_outage));
}

/// Renders a failure for people: one line, the suggestion on a second one.
std::string to_string(const failure& x);

/// A failure that has not got any further yet.
failure make_failure(errc code, std::string message, std::string suggestion = {});

/// "350 ms", "12.5 s", "3 min", "2 h".
std::string duration_text(std::chrono::nanoseconds x);

} // namespace modelforge
