#include "retry/policy.hpp"

#include <algorithm>
#include <cmath>

namespace modelforge::retry {

namespace {

/// Added to waits that the provider named, so that all its clients do not come back at once.
constexpr auto max_jitter = std::chrono::milliseconds{50};
/// How much longer pauses are for a provider that has too much to do.
constexpr double overload_factor = 4;

/// What a failure means by our own reading. Whether an attempt may have run matters as much as why it failed: what was
/// written and not answered is uncertain, what was never written is unsent, and may always be tried again.
meaning by_code(const failed_attempt& attempt) {
  if (attempt.refused)
    return meaning::refused;
  switch (attempt.code) {
    case errc::authentication:
    case errc::quota_exhausted:
      return meaning::key;
    case errc::rate_limited:
      return attempt.slow_down ? meaning::ramp : meaning::rate;
    case errc::overloaded:
      return meaning::overload;
    case errc::server_error:
      return meaning::transient;
    case errc::resolve_failed:
    case errc::connect_failed:
      return meaning::unsent;
    case errc::connection_lost:
    case errc::attempt_timeout:
      return attempt.written ? meaning::uncertain : meaning::unsent;
    case errc::invalid_response: // something between us and the provider, or half an answer; no refusal
      return attempt.status / 100 == 2 ? meaning::uncertain : meaning::final_error;
    default:
      return meaning::final_error;
  }
}

duration draw(duration bound, std::mt19937_64& random) {
  return duration{std::uniform_int_distribution<int64_t>{0, std::max<int64_t>(0, bound.count())}(random)};
}

/// `base_wait` x `backoff_factor`^n, without an end of its own.
double backoff(const policy_settings& settings, uint32_t n) {
  return static_cast<double>(settings.base_wait.count()) * std::pow(settings.backoff_factor, std::min(n, 64u));
}

duration own_pause(const policy_settings& settings, meaning meant, uint32_t before, std::mt19937_64& random) {
  auto bound = backoff(settings, before);
  if (meant == meaning::overload || meant == meaning::ramp)
    bound *= overload_factor;
  return draw(duration{static_cast<int64_t>(std::min(bound, static_cast<double>(settings.max_wait.count())))}, random);
}

} // namespace

duration lane_pause(const policy_settings& settings, uint32_t before) {
  return duration{
    static_cast<int64_t>(std::min(backoff(settings, before), static_cast<double>(settings.max_wait.count())))};
}

// The provider's own word counts for more than ours where an answer came, but a key that it refuses stays refused.
meaning meaning_of(const failed_attempt& attempt) {
  auto meant = by_code(attempt);
  if (!attempt.should_retry || attempt.status == 0)
    return meant;
  if (!*attempt.should_retry)
    return meant == meaning::key ? meant : meaning::final_error;
  return meant == meaning::final_error ? meaning::transient : meant;
}

bool counts_against_provider(meaning why) {
  return why == meaning::overload || why == meaning::transient || why == meaning::unsent || why == meaning::uncertain;
}

// First what is never tried again, then what goes at once (another key; a request that was not processed), then how
// long to wait: the provider's word if there is one, else our own pause.
decision decide(const policy_settings& settings, const failed_attempt& attempt, const retry_case& request,
                time_point now, std::mt19937_64& random) {
  auto meant = meaning_of(attempt);
  decision result;
  result.code = meant == meaning::uncertain && !settings.retry_uncertain ? errc::outcome_unknown : attempt.code;
  if (meant == meaning::final_error || (meant == meaning::uncertain && !settings.retry_uncertain)
      || (request.free == 0 && request.attempts >= settings.max_attempts))
    return result;
  if (meant == meaning::key) {
    result.again = request.other_key;
    result.due = now;
    return result;
  }
  if (meant == meaning::refused && request.free == 1) {
    result.again = true;
    result.due = now;
    return result;
  }
  auto wait = settings.respect_retry_after ? attempt.server_wait.value_or(duration{0}) : duration{0};
  if (wait.count() > 0) {
    auto believed = request.rank == priority::batch ? std::min(wait, settings.max_batch_server_wait) : wait;
    result.due = now + believed + draw(std::min<duration>(max_jitter, wait / 10), random);
    result.why = wait_reason::server_wait;
    auto too_long = request.rank == priority::interactive && wait > settings.max_server_wait;
    if (too_long || (request.deadline && result.due >= *request.deadline)) {
      result.wait = wait;
      return result;
    }
  } else {
    result.due =
      now + own_pause(settings, meant, std::max(1u, request.free > 0 ? request.free : request.attempts) - 1, random);
    result.why = wait_reason::backoff;
    if (request.deadline && result.due >= *request.deadline)
      return result;
  }
  result.again = true;
  return result;
}

} // namespace modelforge::retry
