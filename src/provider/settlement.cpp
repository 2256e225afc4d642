#include "provider/settlement.hpp"

#include "provider/explanations.hpp"
#include "provider/guarded.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::provider {

namespace {

template <class T>
outcome widened(std::variant<T, failure> narrow) {
  return std::visit([](auto& which) -> outcome { return std::move(which); }, narrow);
}

std::optional<token_usage> usage_of(const outcome& how) {
  if (auto* chat = std::get_if<completion>(&how))
    return chat->usage;
  if (auto* vectors = std::get_if<embedding>(&how))
    return vectors->usage;
  return {};
}

} // namespace

outcome settlement::read(const http::response& answer) const {
  if (answer.end.error)
    return describe(*answer.end.error);
  if (of_ != nullptr && of_->inputs > 0)
    return widened(
      guarded<embedding>([&] { return dialect().decode_embedding(answer.head, answer.body, of_->inputs); }));
  return widened(guarded<completion>([&] { return dialect().decode(answer.head, answer.body); }));
}

dispatcher::attempt_end settlement::judge(const http::response& answer, outcome& how, bool repeatable) const {
  auto* bad = std::get_if<failure>(&how);
  auto hints = dialect().hints(answer.head, bad);
  auto& error = answer.end.error;
  dispatcher::attempt_end end;
  end.told = hints.limits;
  end.written = !error || error->request_written || answer.head.status != 0;
  end.repeatable = repeatable;
  if (bad != nullptr) {
    bad->http_status = answer.head.status;
    end.failed = retry::failed_attempt{.code = bad->code,
                                       .status = answer.head.status,
                                       .written = end.written,
                                       .refused = error && error->refused,
                                       .slow_down = hints.slow_down,
                                       .should_retry = hints.should_retry,
                                       .server_wait = bad->retry_after};
  } else if (auto usage = usage_of(how); usage && of_ != nullptr) {
    learn(*usage, end);
  }
  return end;
}

/// By which the request was encoded; of one that nobody waits for any more, the provider's own.
const wire::dialect& settlement::dialect() const {
  return of_ != nullptr ? *of_->dialect : by_.dialect();
}

/// Takes from a good answer what it teaches.
void settlement::learn(const token_usage& usage, dispatcher::attempt_end& end) const {
  estimator_.train(of_->model, of_->raw_tokens, usage.input);
  if (usage.output > 0)
    estimator_.train_output(of_->model, usage.output);
  if (usage.input == 0 || (usage.output == 0 && of_->inputs == 0))
    return; // no request and no answer is that short: it was not told, and what was reserved stays
  auto counted = of_->accounting.tokens == limits::token_accounting::produced
                   ? usage.input - std::min(usage.input, usage.cached_read)
                   : usage.input;
  end.real = limits::corrected(of_->accounting, of_->reserved, counted, usage.output);
  end.output_tokens = usage.output;
}

} // namespace modelforge::provider
