#include "batch/job_results.hpp"

#include <functional>
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

// An output that was cut brings the same lines again. A line that differs is another result of the item: the first one
// has been handed on, so all that can be done is to say so.
std::optional<batch_job_result> job_results::take(std::string_view nonce, std::string_view line,
                                                  std::variant<wire::batch_result, failure> read) {
  auto* result = std::get_if<wire::batch_result>(&read);
  auto number = result != nullptr ? wire::batch_item_number(nonce, result->id) : std::nullopt;
  if (!number || (seen_.size() >= wire::max_job_items && !seen_.contains(*number))) {
    ++broken_;
    return {};
  }
  auto hash = std::hash<std::string_view>{}(line);
  if (auto [found, is_new] = seen_.try_emplace(*number, taken_line{hash}); !is_new) {
    auto& first = found->second;
    if (first.hash != hash && !std::exchange(first.is_contradicted, true))
      ++contradicted_;
    return {};
  }
  succeeded_ += is_good_to_provider(*result);
  auto run = result->end == wire::batch_end::succeeded || result->end == wire::batch_end::errored;
  return batch_job_result{*number, run, std::move(result->answer)};
}

} // namespace modelforge::batch
