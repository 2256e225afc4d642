#include "retry/policy.hpp"

#include <algorithm>
#include <cmath>

namespace modelforge::retry {

namespace {

constexpr auto most_jitter = std::chrono::milliseconds{50};
constexpr double overload_factor = 4;

meaning by_code(const failed_attempt& x) {
  if (x.refused)
    return meaning::refused;
  switch (x.code) {
    case errc::authentication:
    case errc::quota_exhausted:
      return meaning::key;
    case errc::rate_limited:
      return x.slow_down ? meaning::ramp : meaning::rate;
    case errc::overloaded:
      return meaning::overload;
    case errc::server_error:
      return meaning::transient;
    case errc::resolve_failed:
    case errc::connect_failed:
      return meaning::unsent;
    case errc::connection_lost:
    case errc::attempt_timeout:
      return x.written ? meaning::uncertain : meaning::unsent;
    case errc::invalid_response: // something between us and the provider, or half an answer; no refusal
      return x.status / 100 == 2 ? meaning::uncertain : meaning::final_error;
    default:
      return meaning::final_error;
  }
}

duration draw(duration bound, std::mt19937_64& random) {
  return duration{std::uniform_int_distribution<int64_t>{0, std::max<int64_t>(0, bound.count())}(random)};
}

/// `base_wait` x `backoff_factor`^n, without an end of its own.
double backoff(const policy_settings& by, uint32_t n) {
  return static_cast<double>(by.base_wait.count()) * std::pow(by.backoff_factor, std::min(n, 64u));
}

duration own_pause(const policy_settings& by, meaning is, uint32_t before, std::mt19937_64& random) {
  auto bound = backoff(by, before);
  if (is == meaning::overload || is == meaning::ramp)
    bound *= overload_factor;
  return draw(duration{static_cast<int64_t>(std::min(bound, static_cast<double>(by.max_wait.count())))}, random);
}

} // namespace

duration lane_pause(const policy_settings& by, uint32_t before) {
  return duration{static_cast<int64_t>(std::min(backoff(by, before), static_cast<double>(by.max_wait.count())))};
}

meaning meaning_of(const failed_attempt& x) {
  auto is = by_code(x);
  if (!x.should_retry || x.status == 0)
    return is;
  if (!*x.should_retry)
    return is == meaning::key ? is : meaning::final_error;
  return is == meaning::final_error ? meaning::transient : is;
}

bool counts_against_provider(meaning x) {
  return x == meaning::overload || x == meaning::transient || x == meaning::unsent || x == meaning::uncertain;
}

decision decide(const policy_settings& by, const failed_attempt& x, const retry_case& of, time_point now,
                std::mt19937_64& random) {
  auto is = meaning_of(x);
  decision result;
  result.code = is == meaning::uncertain && !by.retry_uncertain ? errc::outcome_unknown : x.code;
  if (is == meaning::final_error || (is == meaning::uncertain && !by.retry_uncertain)
      || (of.free == 0 && of.attempts >= by.max_attempts))
    return result;
  if (is == meaning::key) {
    result.again = of.other_key;
    result.due = now;
    return result;
  }
  if (is == meaning::refused && of.free == 1) {
    result.again = true;
    result.due = now;
    return result;
  }
  auto wait = by.respect_retry_after ? x.server_wait.value_or(duration{0}) : duration{0};
  if (wait.count() > 0) {
    auto believed = of.rank == priority::batch ? std::min(wait, by.max_batch_server_wait) : wait;
    result.due = now + believed + draw(std::min<duration>(most_jitter, wait / 10), random);
    result.why = wait_reason::server_wait;
    auto too_long = of.rank == priority::interactive && wait > by.max_server_wait;
    if (too_long || (of.deadline && result.due >= *of.deadline)) {
      result.wait = wait;
      return result;
    }
  } else {
    result.due = now + own_pause(by, is, std::max(1u, of.free > 0 ? of.free : of.attempts) - 1, random);
    result.why = wait_reason::backoff;
    if (of.deadline && result.due >= *of.deadline)
      return result;
  }
  result.again = true;
  return result;
}

} // namespace modelforge::retry
