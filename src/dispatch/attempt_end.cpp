#include "dispatch/attempt_end.hpp"

#include <chrono>

namespace modelforge {

namespace {

/// A lane that was answered within so long serves somebody: what is refused for load meanwhile is not an outage.
constexpr auto recent = std::chrono::minutes{1};

/// Waits that nobody told, without an answer in between, that any server may ask of us.
constexpr uint32_t max_guessed_waits = 2;

bool is_alive(const limits::lane& lane, limits::time_point now) {
  return lane.answered_at() != limits::time_point{} && now - lane.answered_at() < recent;
}

/// Whether the time without an answer may be the server's pace. Where it is much longer than between answers before, it
/// is an outage: the breaker sees its end sooner, and tells those who wait.
bool may_be_pace(const limits::lane& lane, limits::time_point now) {
  return lane.parallel().in_a_row() < max_guessed_waits || now - lane.answered_at() <= 2 * lane.answer_gap();
}

/// What a failure is to the lane and its breaker; pauses the lane.
lane_reaction react(lane_flight& flight, const retry::failed_attempt& why, limits::lane::ending& ending,
                    const retry::policy_settings& by, limits::time_point now) {
  auto& lane = *flight.lane;
  auto of_lane = why;
  of_lane.should_retry.reset(); // is a word on this request, not on the lane
  auto meaning = retry::meaning_of(of_lane);
  auto limited = meaning == retry::meaning::rate || meaning == retry::meaning::ramp;
  auto overloaded = meaning == retry::meaning::overload;
  auto told = why.server_wait && by.respect_retry_after;
  lane_reaction result;
  // Refused for load though it was alone, by a server that answers: that bounds the rate, as nginx's limit_req does
  // with 503. Fewer at a time would not help; only waiting does. Unless such refusals strike whatever goes out.
  auto may_be_load = overloaded && (told || lane.may_be_load());
  auto paced = may_be_load && flight.attempt.in_flight <= 1 && is_alive(lane, now) && may_be_pace(lane, now);
  result.waits = limited || paced || (overloaded && told);
  result.as_told = result.waits && told;
  result.refuses_key = meaning == retry::meaning::key;
  auto strikes_at_random = overloaded && !may_be_load; // and as often as before: no outage
  ending.result = retry::counts_against_provider(meaning) && !result.waits && !strikes_at_random
                    ? limits::outcome::failure
                    : limits::outcome::neutral;
  result.was_probe = ending.result == limits::outcome::failure && lane.is_probe(flight.attempt);
  result.is_busy = overloaded && is_alive(lane, now);
  ending.overloaded = overloaded || (limited && !why.server_wait) || why.code == errc::attempt_timeout;
  if (result.waits) {
    auto in_a_row = lane.parallel().in_a_row();
    auto is_new = lane.refused(flight.attempt, now);
    auto own = is_new ? retry::lane_pause(by, in_a_row) : limits::duration{0};
    lane.pause_for_refusal(flight.attempt, told ? *why.server_wait : own, now);
  } else if (may_be_load) {
    lane.strained(flight.attempt, now);
  }
  return result;
}

} // namespace

lane_reaction settle_on_lane(lane_flight& flight, const attempt_end& how, const retry::policy_settings& by,
                             limits::time_point now) {
  lane_reaction result;
  limits::lane::ending ending;
  ending.written = how.written;
  ending.real = how.real;
  ending.told = how.told;
  ending.output_tokens = how.output_tokens;
  if (how.failed)
    result = react(flight, *how.failed, ending, by, now);
  else
    ending.result = limits::outcome::success;
  flight.lane->end(flight.attempt, ending, now);
  return result;
}

} // namespace modelforge
