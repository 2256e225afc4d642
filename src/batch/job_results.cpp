#include "batch/job_results.hpp"

#include <utility>

namespace modelforge::batch {

namespace {

/// Whether the provider counts it among its good results; we may be unable to use it.
bool is_good_to_provider(const wire::batch_result& result) {
  auto* bad = std::get_if<failure>(&result.answer);
  return result.end == wire::batch_end::succeeded
         || (bad != nullptr && bad->http_status >= 200 && bad->http_status < 300);
}

} // namespace

std::optional<batch_job_result> job_results::take(std::string_view nonce,
                                                  std::variant<wire::batch_result, failure> read) {
  auto* result = std::get_if<wire::batch_result>(&read);
  auto number = result != nullptr ? wire::batch_item_number(nonce, result->id) : std::nullopt;
  if (!number || (seen_.size() >= wire::most_job_items && !seen_.contains(*number))) {
    ++broken_;
    return {};
  }
  if (!seen_.insert(*number).second)
    return {}; // an output that was cut brings the same again
  succeeded_ += is_good_to_provider(*result);
  auto run = result->end == wire::batch_end::succeeded || result->end == wire::batch_end::errored;
  return batch_job_result{*number, run, std::move(result->answer)};
}

} // namespace modelforge::batch
