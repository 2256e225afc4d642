#pragma once

#include <modelforge/config/retry_settings.hpp>
#include <modelforge/messages/attempt.hpp>
#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/errc.hpp>

#include <chrono>
#include <optional>
#include <random>
#include <string_view>

namespace modelforge::retry {

using duration = std::chrono::nanoseconds;
using time_point = std::chrono::steady_clock::time_point;

/// `on_empty_budget` is none of the policy's: the dispatcher heeds it.
using policy_settings = retry_settings;

/// How an attempt failed.
struct failed_attempt {
  errc code = errc::internal;
  uint16_t status = 0;                   ///< HTTP status; 0: no answer came.
  bool written = true;                   ///< The whole request went out, so that it may have run.
  bool refused = false;                  ///< The server says that it has not processed it.
  bool slow_down = false;                ///< The provider says that the traffic grew too fast.
  std::optional<bool> should_retry{};    ///< The provider's own word.
  std::optional<duration> server_wait{}; ///< How long the provider asks us to stay away.
};

/// What a failure means, as far as a retry is concerned.
enum class meaning : uint8_t {
  final_error, ///< It would fail again: the caller's mistake, or an answer that must not be asked for twice.
  key,         ///< This credential is of no use (refused, or its quota is used up); another one may be.
  rate,        ///< A per-minute limit.
  ramp,        ///< Traffic grew too fast.
  overload,    ///< The provider has too much to do.
  transient,   ///< It failed, and may not again.
  unsent,      ///< The request did not go out.
  uncertain,   ///< It went out, and no answer came: it may have run.
  refused,     ///< The server says that it has not processed it: as good as unsent, and nobody's failure.
};

/// What `attempt` means. The provider's own `should_retry` comes before what its status would mean.
meaning meaning_of(const failed_attempt& attempt);

/// Whether a failure tells that the provider is in trouble: what a circuit breaker counts.
bool counts_against_provider(meaning why);

/// What is to happen after a failed attempt.
struct decision {
  bool again = false;
  time_point due{}; ///< When it may be dispatched again, at the earliest.
  wait_reason why = wait_reason::nothing;
  errc code = errc::none;         ///< Otherwise: what the request ends as.
  std::optional<duration> wait{}; ///< Set if it ends because this wait, which the provider named, is too long for it.
};

/// How long a lane waits of itself where a refusal (429) names no wait, after so many such pauses in a row.
duration lane_pause(const policy_settings& settings, uint32_t before);

/// The request as the policy sees it.
struct retry_case {
  uint32_t attempts = 1; ///< Made so far, this one included, without those that cost none.
  uint32_t free = 0;     ///< In a row up to this one, so many cost no attempt; 0: this one does.
  priority rank = priority::interactive;
  std::optional<time_point> deadline{};
  bool other_key = false; ///< Another credential could take it.
};

/// Decides whether, and when, to try again.
///
/// Our own pause is drawn evenly from zero to min(max_wait, base_wait x backoff_factor^(attempts - 1)) ("full jitter";
/// Brooker, "Exponential backoff and jitter", AWS 2015), for an overloaded provider from a bound four times as high. A
/// wait that the provider names is a minimum instead, to which jitter of at most 50 ms is added. What costs no attempt
/// is counted by `free` there instead; what was `refused` goes at once the first time.
decision decide(const policy_settings& settings, const failed_attempt& attempt, const retry_case& request,
                time_point now, std::mt19937_64& random);

} // namespace modelforge::retry

template <>
inline constexpr auto modelforge::enum_names<modelforge::retry::meaning> = std::to_array<std::string_view>(
  {"final_error", "key", "rate", "ramp", "overload", "transient", "unsent", "uncertain", "refused"});
