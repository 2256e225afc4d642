#include "provider/settlement.hpp"

#include "provider/explanations.hpp"
#include "provider/guarded.hpp"
#include "wire/json.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::provider {

namespace {

/// A result of one kind, as the outcome of any.
template <class T>
outcome widened(std::variant<T, failure> narrow) {
  return std::visit([](auto& which) -> outcome { return std::move(which); }, narrow);
}

std::optional<token_usage> usage_of(const outcome& ended) {
  if (auto* chat = std::get_if<completion>(&ended))
    return chat->usage;
  if (auto* vectors = std::get_if<embedding>(&ended))
    return vectors->usage;
  return {};
}

} // namespace

// What a server sends is read by code that must not throw; should it, only this request suffers (`guarded`). JSON that
// is whole by itself has lost nothing but the end of its compression.
outcome settlement::read(const http::response& answer) const {
  auto& error = answer.end.error;
  if (error && !(error->decoded && json::reader{answer.body}.finish()))
    return describe(*answer.end.error);
  if (request_ != nullptr && request_->inputs > 0)
    return widened(
      guarded<embedding>([&] { return dialect().decode_embedding(answer.head, answer.body, request_->inputs); }));
  return widened(guarded<completion>([&] { return dialect().decode(answer.head, answer.body); }));
}

// Any status is proof that the request was written, whatever the transfer says.
dispatcher::attempt_end settlement::judge(const http::response& answer, outcome& ended, bool repeatable) const {
  auto* bad = std::get_if<failure>(&ended);
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
  } else if (auto usage = usage_of(ended); usage && request_ != nullptr) {
    learn(*usage, end);
  }
  return end;
}

/// By which the request was encoded; of one that nobody waits for any more, the provider's own.
const wire::dialect& settlement::dialect() const {
  return request_ != nullptr ? *request_->dialect : setup_.dialect();
}

/// Takes from a good answer what it teaches.
void settlement::learn(const token_usage& usage, dispatcher::attempt_end& end) const {
  estimator_.train(request_->model, request_->raw_tokens, usage.input);
  if (usage.output > 0)
    estimator_.train_output(request_->model, std::max<uint64_t>(1, usage.output / request_->choices()));
  if (usage.input == 0 || (usage.output == 0 && request_->inputs == 0))
    return; // no request and no answer is that short: it was not told, and what was reserved stays
  auto counted = request_->accounting.tokens == limits::token_accounting::produced
                   ? usage.input - std::min(usage.input, usage.cached_read)
                   : usage.input;
  end.real = limits::corrected(request_->accounting, request_->reserved, counted, usage.output);
  end.output_tokens = usage.output;
}

} // namespace modelforge::provider
