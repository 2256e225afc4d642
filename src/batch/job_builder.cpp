#include "batch/job_builder.hpp"

#include <algorithm>
#include <utility>
#include <variant>

namespace modelforge::batch {

namespace {

/// About what a request takes in a job's input.
std::size_t text_bytes(const chat_request& request) {
  std::size_t sum = 512;
  for (auto& message : request.messages)
    for (auto& part : message.content)
      if (auto* text = std::get_if<text_part>(&part))
        sum += text->text.size();
      else if (auto* image = std::get_if<image_part>(&part))
        sum += image->data.size() / 6 + image->url.size();
  return sum;
}

} // namespace

job_draft* job_builder::find(const std::string& model) {
  auto found = drafts_.find(model);
  return found == drafts_.end() ? nullptr : &found->second;
}

job_draft& job_builder::begin(const std::string& model, std::size_t provider) {
  auto& draft = drafts_[model];
  draft.provider = provider;
  return draft;
}

void job_builder::add(job_draft& draft, uint64_t index, job_item item, chat_request request) {
  draft.bytes += text_bytes(request);
  draft.items.emplace(index, std::move(item));
  draft.requests.push_back({index, std::move(request)});
  ++items_;
}

bool job_builder::is_full(const job_draft& draft, const provider_pool& pool) const {
  return draft.items.size() >= std::min(max_items_, pool.max_job_items(draft.provider)) || draft.bytes >= max_bytes_;
}

bool job_builder::is_blocked(const provider_pool& pool, time_point now) const {
  return items_ >= max_items_ || std::any_of(drafts_.begin(), drafts_.end(), [&](auto& x) {
           return is_full(x.second, pool) && !pool.may_begin_job(x.second.provider, now);
         });
}

std::optional<job_draft> job_builder::take_next(const provider_pool& pool, time_point now, bool rest) {
  auto chosen = drafts_.end();
  auto all_are_full = items_ >= max_items_;
  for (auto at = drafts_.begin(); at != drafts_.end(); ++at) {
    auto& draft = at->second;
    auto full = is_full(draft, pool);
    if (!(full || rest || all_are_full) || !pool.may_begin_job(draft.provider, now))
      continue;
    if (full)
      return take(at);
    if (chosen == drafts_.end() || draft.items.size() > chosen->second.items.size())
      chosen = at;
  }
  return chosen == drafts_.end() ? std::nullopt : std::optional{take(chosen)};
}

job_draft job_builder::take(iterator at) {
  auto draft = std::move(at->second);
  drafts_.erase(at);
  items_ -= draft.items.size();
  return draft;
}

std::vector<uint64_t> job_builder::take_apart(std::size_t provider) {
  std::vector<uint64_t> indices;
  for (auto at = drafts_.begin(); at != drafts_.end();) {
    auto next = std::next(at);
    if (at->second.provider == provider) {
      auto draft = take(at);
      for (auto& [index, item] : draft.items)
        indices.push_back(index);
    }
    at = next;
  }
  return indices;
}

} // namespace modelforge::batch
