#include "batch/job_book.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::batch {

void job_book::load(const ledger& known) {
  ended_ = known.summary().ids_of_ended_jobs;
  for (auto& [nonce, entry] : known.summary().jobs) {
    auto& job = jobs_[nonce];
    job.entry = entry;
    job.status.nonce = nonce;
    for (auto [first, last] : known.unanswered(entry))
      ranges_.add(first, last, &job);
  }
}

known_job* job_book::find(const std::string& nonce) {
  auto found = jobs_.find(nonce);
  return found == jobs_.end() ? nullptr : &found->second;
}

void job_book::recover(uint64_t index, const job_item& item) {
  ranges_.each_owner(index, [&](known_job* job) { job->items.emplace(index, item); });
}

batch_job_request job_book::begin(const std::string& nonce, job_draft draft, const std::string& provider,
                                  uint64_t unix_now) {
  auto& job = jobs_[nonce];
  job.provider = draft.provider;
  job.items = std::move(draft.items);
  job.status.nonce = nonce;
  job.entry.nonce = nonce;
  job.entry.provider = provider;
  job.entry.model = draft.requests.front().request.model;
  job.entry.at = unix_now;
  for (auto& [index, item] : job.items)
    if (auto& ranges = job.entry.items; !ranges.empty() && ranges.back().second + 1 == index)
      ++ranges.back().second;
    else
      ranges.emplace_back(index, index);
  batch_job_request request;
  request.nonce = nonce;
  request.model = job.entry.model;
  request.not_before = unix_now;
  request.others = others(nonce);
  request.items = std::move(draft.requests);
  return request;
}

batch_job_request job_book::resume(const known_job& job) const {
  batch_job_request request;
  request.nonce = job.entry.nonce;
  request.start = job.entry.id.empty() ? batch_job_start::find : batch_job_start::attach;
  request.model = job.entry.model;
  request.job = job.entry.id;
  request.not_before = job.entry.at;
  request.others = others(job.entry.nonce);
  return request;
}

/// Ids of all that is known not to be this job.
std::vector<std::string> job_book::others(const std::string& nonce) const {
  auto ids = ended_;
  for (auto& [other, job] : jobs_)
    if (other != nonce && !job.entry.id.empty())
      ids.push_back(job.entry.id);
  return ids;
}

bool job_book::learn_id(known_job& job, const std::string& id) {
  if (id.empty() || !job.entry.id.empty())
    return false;
  job.entry.id = id;
  return true;
}

known_job job_book::end(const std::string& nonce) {
  auto job = std::move(jobs_.extract(nonce).mapped());
  if (!job.entry.id.empty())
    ended_.push_back(job.entry.id);
  return job;
}

std::size_t job_book::open() const {
  return static_cast<std::size_t>(
    std::count_if(jobs_.begin(), jobs_.end(), [](auto& x) { return !x.second.entry.id.empty(); }));
}

} // namespace modelforge::batch
