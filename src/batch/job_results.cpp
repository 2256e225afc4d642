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

// An output that was cut brings the same lines again. A line that differs is another result of the item.
std::optional<batch_job_result> job_results::take(std::string_view nonce, std::string_view line,
                                                  std::variant<wire::batch_result, failure> read) {
  auto* result = std::get_if<wire::batch_result>(&read);
  auto number = result != nullptr ? wire::batch_item_number(nonce, result->id) : std::nullopt;
  if (!number || (seen_.size() >= wire::max_job_items && !seen_.contains(*number))) {
    ++broken_;
    return {};
  }
  auto hash = std::hash<std::string_view>{}(line);
  auto [found, is_new] = seen_.try_emplace(*number, taken_line{hash});
  auto& known = found->second;
  if (!is_new && known.hash == hash)
    return {};
  if (!is_new && !std::exchange(known.is_contradicted, true))
    ++contradicted_;
  if (is_good_to_provider(*result) && !std::exchange(known.is_good_to_provider, true))
    ++succeeded_;
  auto is_good = std::holds_alternative<completion>(result->answer);
  if (!is_new && (!is_good || !release(kept_.find(*number))))
    return {};
  auto run = result->end == wire::batch_end::succeeded || result->end == wire::batch_end::errored;
  batch_job_result made{*number, run, std::move(result->answer)};
  auto bytes = sizeof made + line.size();
  if (is_good || kept_bytes_ + bytes > max_kept_bytes)
    return made;
  kept_bytes_ += bytes;
  kept_.emplace(*number, kept_result{std::move(made), bytes});
  return {};
}

std::optional<batch_job_result> job_results::take_kept() {
  return release(kept_.begin());
}

std::optional<batch_job_result> job_results::release(std::map<uint64_t, kept_result>::iterator kept) {
  if (kept == kept_.end())
    return {};
  kept_bytes_ -= kept->second.bytes;
  return std::move(kept_.extract(kept).mapped().result);
}

} // namespace modelforge::batch
