#pragma once

#include "limits/charge.hpp"

#include <modelforge/config/circuit_breaker_settings.hpp>
#include <modelforge/messages/enums.hpp>

namespace modelforge::limits {

/// `when` is none of the breaker's: the dispatcher heeds it.
using breaker_settings = circuit_breaker_settings;

/// What an attempt tells of the provider's health.
enum class outcome : uint8_t {
  success,
  failure,
  neutral, ///< Nothing: a 429, the caller's own mistake, a cancelled request, a deadline that passed.
};

/// Stops sending to a provider that keeps failing, and tries it now and then (M. Nygard, Release It!).
///
/// Closed: everything may go. Opens after failures in a row, or when a share of the latest results failed; then nothing
/// goes for `open_for`. Half open: real requests go as probes, each in one of `probes` places. A failure opens it
/// again. A success keeps its place, and when all places hold one it closes: so `probes` is also the evidence it wants,
/// and never more requests go to a provider in trouble than can change the verdict. A neutral end gives the place back.
///
/// `open_for` does not grow with repeated openings: there is no other host to take the load meanwhile, and `probes`
/// requests for each `open_for` cost less than finding out late that the provider is back.
///
/// Every permit must be ended, however the attempt ends; a probe's place is taken until then, so attempts need a
/// timeout. Results of attempts begun before the last change of state change nothing.
///
/// Part of `lane`, which asks before it dispatches and tells every end. A plain class: holds no clock. `now` never goes
/// back. Every call is O(1) and allocates nothing.
class circuit_breaker {
public:
  enum class state : uint8_t { closed, open, half_open };

  /// Leave for one attempt.
  struct permit {
    uint64_t generation = 0; ///< Changes of state before it.
    bool probe = false;      ///< Whether it holds a place.
  };

  explicit circuit_breaker(const breaker_settings& settings);

  /// Takes over other settings. The state stays, unless it is not enabled any more or has proof enough now; where they
  /// differ, what the window has seen is forgotten.
  void reconfigure(const breaker_settings& settings);

  /// When an attempt may begin: `now`; the time of the next probe; or `time_point::max()` while all places are taken,
  /// which only `end` changes.
  time_point ready_at(time_point now) const;

  /// Begins an attempt. Requires `ready_at(now) <= now`.
  permit begin(time_point now);

  /// Ends an attempt, when the response status is known or none will come; `took` is the time until then.
  void end(permit ended, outcome result, duration took, time_point now);

  /// Whether this is a probe whose verdict is still awaited.
  bool is_probing(const permit& given) const { return given.probe && given.generation == generation_; }

  // -- for status -----------------------------------------------------------------

  /// Half open as soon as a probe may go, whether or not one has.
  state current(time_point now) const;

  /// When the current state began; the clock's epoch if it never changed.
  time_point since(time_point now) const { return is_due(now) ? until_ : since_; }

  /// How often the state has changed.
  uint64_t changes() const { return generation_; }

  /// How often it opened, a failed probe included.
  uint64_t openings() const { return openings_; }

  /// Failures since the last success or change of state.
  uint32_t consecutive_failures() const { return consecutive_; }

  /// Failures among the results of the window, in [0, 1]; 0 without results.
  double failure_share(time_point now) const { return sum(now).share(); }

private:
  /// A tenth of the window.
  struct bucket {
    int64_t number = 0; ///< Since the clock's epoch.
    uint64_t results = 0;
    uint64_t failures = 0;

    double share() const;
  };

  /// Whether the time of a probe has come, and none has begun yet.
  bool is_due(time_point now) const { return state_ == state::open && now >= until_; }

  int64_t number_of(time_point now) const { return now.time_since_epoch() / width_; }
  bucket sum(time_point now) const;
  void count(bool failed, time_point now);
  bool is_too_much(time_point now) const;
  void judge_probe(bool failed, time_point now);
  void change(state next, time_point now);

  breaker_settings settings_;
  duration width_; ///< Of a bucket.
  std::array<bucket, 10> window_{};
  state state_ = state::closed;
  time_point since_{};
  time_point until_{}; ///< While open: the time of the next probe.
  uint64_t generation_ = 0;
  uint64_t openings_ = 0;
  uint32_t consecutive_ = 0;
  uint32_t places_ = 0; ///< While half open: taken, by probes under way and by successes.
  uint32_t successes_ = 0;
};

} // namespace modelforge::limits

template <>
inline constexpr auto modelforge::enum_names<modelforge::limits::circuit_breaker::state> =
  std::to_array<std::string_view>({"closed", "open", "half_open"});
