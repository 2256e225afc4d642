#pragma once

#include "dispatch/dispatcher.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

/// What the dispatcher's tests offer it, and a dispatcher in virtual time that is asked until it has no more to tell.
namespace modelforge::dispatcher_test {

using namespace std::chrono_literals;

using limits::charge;
using limits::time_point;
using reason = dispatcher::reason;
using what = dispatcher::settlement::what;

inline constexpr auto batch = priority::batch;
inline constexpr auto interactive = priority::interactive;

inline constexpr time_point start{1000s};

inline charge of(uint64_t tokens) {
  charge x;
  limits::at(x.arriving, limits::dimension::tokens) = tokens;
  return x;
}

inline request_id id(uint64_t x) {
  return {1, x};
}

inline dispatcher::offer offer(uint64_t n, uint64_t tokens = 1, priority rank = interactive) {
  return {.id = id(n), .rank = rank, .cost = of(tokens), .bytes = 10};
}

/// One of a size that is no guess.
inline dispatcher::offer certain(uint64_t n, uint64_t tokens) {
  auto x = offer(n, tokens);
  x.least = x.cost.total();
  return x;
}

inline dispatcher::offer for_model(uint64_t n, const std::string& model, uint64_t tokens = 1,
                                   priority rank = interactive) {
  auto x = offer(n, tokens, rank);
  x.model = model;
  return x;
}

inline dispatcher::offer from_tenant(uint64_t n, const std::string& tenant, priority rank = interactive) {
  auto x = offer(n, 1, rank);
  x.tenant = tenant;
  return x;
}

inline dispatcher_settings settings_of(std::optional<uint64_t> requests, std::optional<uint64_t> tokens,
                                       uint32_t slots = 1000) {
  dispatcher_settings x;
  auto& group = x.groups[0];
  group.limits.per_minute = {requests, tokens, {}, {}};
  group.limits.burst = 1'000'000;
  group.max_concurrent = group.first_burst = slots;
  group.breaker.enabled = false;
  return x;
}

inline dispatcher::attempt_end failed(errc code, uint16_t status = 500, std::optional<limits::duration> wait = {}) {
  dispatcher::attempt_end x;
  x.failed = retry::failed_attempt{.code = code, .status = status, .server_wait = wait};
  return x;
}

inline dispatcher::attempt_end unwritten(errc code = errc::cancelled) {
  auto x = failed(code, 0);
  x.written = x.failed->written = false;
  return x;
}

/// A dispatcher that is asked until it has no more to tell.
struct bench {
  dispatcher x;
  time_point now = start;
  std::map<uint64_t, dispatcher::dispatch> sent; ///< The latest attempt, by request.
  std::map<uint64_t, dispatcher::give_up> given_up;
  uint32_t saves = 0;
  bool writes = true; ///< Whether what is sent is written at once.

  explicit bench(const dispatcher_settings& settings) : x(settings, 1) {}

  /// Requests that are sent now, in order.
  std::vector<uint64_t> serve() {
    std::vector<uint64_t> result;
    while (auto step = x.next(now)) {
      REQUIRE(result.size() + given_up.size() + saves < 100'000);
      if (auto* send = std::get_if<dispatcher::dispatch>(&*step)) {
        result.push_back(send->id.low);
        sent[send->id.low] = *send;
        REQUIRE(x.request_of(send->attempt) == send->id);
        if (writes)
          x.written(send->attempt, now);
      } else if (auto* end = std::get_if<dispatcher::give_up>(&*step)) {
        given_up.emplace(end->id.low, *end);
      } else {
        ++saves;
        x.journal(now);
      }
    }
    auto wake = x.wake_at(now);
    REQUIRE((!wake || *wake > now));
    return result;
  }

  std::vector<uint64_t> take(const dispatcher::offer& o) {
    REQUIRE_FALSE(x.accept(o, now));
    return serve();
  }

  dispatcher::refusal refused(const dispatcher::offer& o) {
    auto result = x.accept(o, now);
    REQUIRE(result);
    return *result;
  }

  dispatcher::settlement end(uint64_t request, const dispatcher::attempt_end& how = {}) {
    return x.end(sent.at(request).attempt, how, now);
  }

  /// Sleeps until it is to be woken, and serves.
  std::vector<uint64_t> wake() {
    auto at = x.wake_at(now);
    REQUIRE(at);
    now = *at;
    return serve();
  }

  limits::lane& lane(uint32_t group = 0, uint32_t key = 0) { return x.lane_of(group, key); }
  uint64_t live(limits::dimension d = limits::dimension::tokens) { return limits::at(lane().limiter().live(now), d); }
  uint64_t refusals(reason why) const { return x.counts().refused[static_cast<std::size_t>(why)]; }
};

using list = std::vector<uint64_t>;

} // namespace modelforge::dispatcher_test
