#include "node/told_answers.hpp"

#include "node/spent_attempts.hpp"

#include <algorithm>
#include <string>

namespace modelforge::node {

namespace {

using std::chrono::nanoseconds;

void cut(nanoseconds& x) {
  x = std::clamp<nanoseconds>(x, nanoseconds{0}, max_told_time);
}

void cut(std::optional<nanoseconds>& x) {
  if (x)
    cut(*x);
}

void cut(std::vector<attempt_record>& x) {
  if (x.size() > max_told_records)
    x.erase(x.begin(), x.end() - max_told_records);
  for (auto& record : x)
    for (auto* time : {&record.waited, &record.started, &record.duration})
      cut(*time);
}

void cut(timings& x) {
  for (auto* time : {&x.queued, &x.first_byte, &x.total})
    cut(*time);
}

bool can_be(const token_usage& x) {
  return x.input <= most_input_tokens && x.output <= most_output_tokens;
}

/// What an answer of any kind has.
template <class Answer>
void bound_answer(Answer& x) {
  cut(x.timings);
  cut(x.attempts);
  if (x.usage && !can_be(*x.usage)) {
    x.usage.reset();
    x.warnings.emplace_back("the provider's node told a number of tokens that cannot be; it is left out");
  }
  if (x.usage) {
    for (auto* part : {&x.usage->cached_read, &x.usage->cache_written})
      *part = std::min(*part, x.usage->input);
    x.usage->reasoning = std::min(x.usage->reasoning, x.usage->output);
  }
  if (x.cost && !(*x.cost >= 0 && *x.cost <= max_told_cost)) { // NaN is neither
    x.cost.reset();
    x.warnings.emplace_back("the provider's node told a cost that cannot be; it is left out");
  }
}

} // namespace

void bound(completion& x) {
  bound_answer(x);
}

void bound(embedding& x) {
  bound_answer(x);
}

void bound(failure& x) {
  cut(x.retry_after);
  cut(x.attempts);
}

void bound(provider_status& x) {
  x.max_concurrent = std::min(x.max_concurrent, max_told_slots);
  cut(x.next_retry);
  cut(x.predicted_wait);
  for (auto& lane : x.lanes) {
    lane.slots = std::min(lane.slots, max_told_slots);
    cut(lane.paused_for);
  }
}

void bound(stream_chunk& x) {
  x.tokens = std::min(x.tokens, most_output_tokens);
}

void bound(stream_done& x) {
  cut(x.first_token);
  bound(x.result);
}

void bound(stream_failed& x) {
  x.tokens = std::min(x.tokens, most_output_tokens);
  bound(x.why);
}

std::optional<failure> wrong_vectors(const embedding& x, std::size_t inputs) {
  auto size = x.vectors.empty() ? 0 : x.vectors.front().size();
  auto same = std::all_of(x.vectors.begin(), x.vectors.end(), [&](auto& y) { return y.size() == size; });
  if (x.vectors.size() == inputs && same && size > 0)
    return {};
  return make_failure(errc::invalid_response, x.vectors.size() != inputs
                                                ? "the provider's node gave " + std::to_string(x.vectors.size())
                                                    + " vectors for " + std::to_string(inputs) + " inputs"
                                              : size == 0 ? "the provider's node gave empty vectors"
                                                          : "the provider's node gave vectors of different lengths");
}

} // namespace modelforge::node
