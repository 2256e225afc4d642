#pragma once

#include "tools/simulator/simulator.hpp"

#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace modelforge::simulator {

/// What goes wrong with a request on purpose. The names are those of `options::faults`.
enum class fault : uint8_t {
  none,
  rate_limit,        ///< "429"
  rate_limit_waited, ///< "429_retry_after"
  quota,             ///< "429_quota"
  internal,          ///< "500"
  unavailable,       ///< "503"
  overloaded,        ///< "529"
  timeout,           ///< No answer, until the client gives up.
  reset,             ///< TCP RST before any byte of the answer.
  reset_mid,         ///< TCP RST in the middle of the body.
  slow,              ///< The answer takes ten times its time, at least a second more.
  garbage,           ///< 200, and a body that is not JSON.
  html,              ///< 200 and a page of HTML, as captive portals do.
  truncated,         ///< The connection is closed in the middle of the body, without a reset.
  cut,               ///< A stream ends between two events, without its end mark, and the connection is closed.
  error_event,       ///< A stream's next event is an error; then it ends as it should.
  stall,             ///< A stream sends no further event, until the client gives up.
};

/// Returns the name of a fault as options and statistics have it; empty for `none`.
std::string_view name_of(fault kind);

/// Returns the fault of that name; nothing for an unknown or an empty one.
std::optional<fault> fault_named(std::string_view name);

/// All names but that of `none`.
std::span<const std::string_view> fault_names();

/// Returns whether the fault refuses the request as a limit does, so that nothing is counted for it.
constexpr bool is_refusal(fault kind) {
  return kind == fault::rate_limit || kind == fault::rate_limit_waited || kind == fault::quota;
}

/// Returns whether the answer ends in the middle of its body, of a stream: of an event.
constexpr bool breaks_off(fault kind) {
  return kind == fault::reset_mid || kind == fault::truncated;
}

/// Returns whether the fault strikes a stream between two events.
constexpr bool strikes_between_events(fault kind) {
  return kind == fault::cut || kind == fault::error_event || kind == fault::stall;
}

/// Returns whether the fault spoils an answer that begins as the right one.
constexpr bool spoils_answer(fault kind) {
  return kind == fault::slow || breaks_off(kind) || strikes_between_events(kind);
}

/// Returns what the fault does to an answer that is not a stream: those between events become their closest kin.
constexpr fault without_stream(fault kind) {
  return kind == fault::cut           ? fault::truncated
         : kind == fault::error_event ? fault::internal
         : kind == fault::stall       ? fault::timeout
                                      : kind;
}

/// What was drawn for a request.
struct injection {
  fault what = fault::none;
  uint64_t place = 0; ///< Any number: where in a stream it strikes, modulo the number of events.
};

/// Decides which request gets which fault: by the seed, the request's id and the attempt's number, so that a retry
/// draws anew and a rerun repeats. Without an id the number of requests drawn for before takes its place.
class fault_plan {
public:
  /// `fault_from` and `fault_until` count from `start`.
  fault_plan(const options& settings, clock::time_point start);

  /// Takes over other faults and times; start and count stay.
  void configure(const options& settings);

  /// Both texts are as the client gave them, and may be empty.
  injection draw(clock::time_point now, std::string_view request_id, std::string_view attempt);

private:
  clock::time_point start_, window_begin_; ///< Faults happen from `window_begin_` until `window_end_`, if it is set.
  std::optional<clock::time_point> window_end_;
  std::vector<std::pair<fault, double>> shares_; ///< By name.
  uint64_t seed_ = 0;
  uint64_t drawn_ = 0;
};

} // namespace modelforge::simulator
