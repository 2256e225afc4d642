#include "node/told_answers.hpp"

#include "node/spent_attempts.hpp"

#include <algorithm>
#include <string>

namespace modelforge::node {

namespace {

using std::chrono::nanoseconds;

void cut(nanoseconds& time) {
  time = std::clamp<nanoseconds>(time, nanoseconds{0}, max_told_time);
}

void cut(std::optional<nanoseconds>& time) {
  if (time)
    cut(*time);
}

void cut(std::vector<attempt_record>& records) {
  if (records.size() > max_told_records)
    records.erase(records.begin(), records.end() - max_told_records);
  for (auto& record : records)
    for (auto* time : {&record.waited, &record.started, &record.duration})
      cut(*time);
}

void cut(timings& times) {
  for (auto* time : {&times.queued, &times.first_byte, &times.total})
    cut(*time);
}

bool can_be(const token_usage& usage) {
  return usage.input <= max_input_tokens && usage.output <= max_output_tokens;
}

/// What an answer of any kind has. The part that completions and embeddings have in common. Figures that cannot be are
/// taken out rather than cut: half a wrong number is no better.
template <class Answer>
void bound_answer(Answer& answer) {
  cut(answer.timings);
  cut(answer.attempts);
  if (answer.usage && !can_be(*answer.usage)) {
    answer.usage.reset();
    answer.warnings.emplace_back("the provider's node reported an impossible number of tokens; it is left out");
  }
  if (answer.usage) {
    for (auto* part : {&answer.usage->cached_read, &answer.usage->cache_written})
      *part = std::min(*part, answer.usage->input);
    answer.usage->reasoning = std::min(answer.usage->reasoning, answer.usage->output);
  }
  if (answer.cost && !(*answer.cost >= 0 && *answer.cost <= max_told_cost)) { // NaN is neither
    answer.cost.reset();
    answer.warnings.emplace_back("the provider's node reported an impossible cost; it is left out");
  }
}

} // namespace

void bound(completion& answer) {
  bound_answer(answer);
}

void bound(embedding& answer) {
  bound_answer(answer);
}

void bound(failure& problem) {
  cut(problem.retry_after);
  cut(problem.attempts);
}

void bound(provider_status& status) {
  status.max_concurrent = std::min(status.max_concurrent, max_told_slots);
  cut(status.next_retry);
  cut(status.predicted_wait);
  for (auto& lane : status.lanes) {
    lane.slots = std::min(lane.slots, max_told_slots);
    cut(lane.paused_for);
  }
}

void bound(stream_chunk& chunk) {
  chunk.tokens = std::min(chunk.tokens, max_output_tokens);
}

void bound(stream_done& done) {
  cut(done.first_token);
  bound(done.result);
}

void bound(stream_failed& failed) {
  failed.tokens = std::min(failed.tokens, max_output_tokens);
  bound(failed.why);
}

// Who goes on with vectors indexes them by the inputs, and compares them with each other; so both must hold.
std::optional<failure> wrong_vectors(const embedding& answer, std::size_t inputs) {
  auto size = answer.vectors.empty() ? 0 : answer.vectors.front().size();
  auto same =
    std::all_of(answer.vectors.begin(), answer.vectors.end(), [&](auto& vector) { return vector.size() == size; });
  if (answer.vectors.size() == inputs && same && size > 0)
    return {};
  return make_failure(errc::invalid_response, answer.vectors.size() != inputs
                                                ? "the provider's node gave " + std::to_string(answer.vectors.size())
                                                    + " vectors for " + std::to_string(inputs) + " inputs"
                                              : size == 0 ? "the provider's node gave empty vectors"
                                                          : "the provider's node gave vectors of different lengths");
}

} // namespace modelforge::node
