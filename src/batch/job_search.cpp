#include "batch/job_search.hpp"

#include <algorithm>

namespace modelforge::batch {

namespace {

/// Pages of a provider's list of jobs; each has 20 to 100.
constexpr uint32_t max_pages = 50;

} // namespace

void job_search::begin() {
  looks_without_ = 0;
  first_look_.reset();
  knows_all_ = false;
  begin_list();
}

void job_search::begin_list() {
  page_.clear();
  pages_ = 0;
  candidates_.clear();
}

job_search::finding job_search::take_page(time_point now, wire::batch_page page, bool keeps_nonce) {
  auto is_old = false;
  if (!first_look_)
    first_look_ = now;
  for (auto& job : page.jobs) {
    if (job.nonce == nonce_) {
      found_ = std::move(job);
      return finding::found;
    }
    is_old = is_old || (job.created && *job.created < not_before_);
    auto is_other = std::find(others_.begin(), others_.end(), job.id) != others_.end();
    if (keeps_nonce || is_other || is_old)
      continue;
    if (!knows_all_)
      may_be_it_.insert(job.id);
    if (may_be_it_.count(job.id) > 0)
      candidates_.push_back(std::move(job));
  }
  if (!is_old && !page.next.empty()) {
    if (++pages_ == max_pages) // what is behind may be it
      return finding::too_many;
    page_ = page.next;
    return finding::next_page;
  }
  knows_all_ = knows_all_ || now - *first_look_ >= settle_;
  return judge();
}

/// Decides by what is left of the jobs that may be ours.
job_search::finding job_search::judge() {
  while (!candidates_.empty() && wire::is_over(candidates_.back().state) && candidates_.back().outputs.empty())
    candidates_.pop_back(); // it had no results, so none of ours
  auto over = std::find_if(candidates_.begin(), candidates_.end(),
                           [](auto& x) { return wire::is_over(x.state) && !x.outputs.empty(); });
  if (over != candidates_.end()) {
    std::iter_swap(over, candidates_.end() - 1);
    return finding::probe;
  }
  auto may_run = !candidates_.empty();
  begin_list();
  if (may_run) {
    looks_without_ = 0;
    return finding::may_run;
  }
  return ++looks_without_ < 2 ? finding::not_yet : finding::not_there;
}

void job_search::take_line(bool is_result, bool is_ours) {
  is_probed_ = is_probed_ || is_result;
  is_ours_ = is_ours_ || is_ours;
}

job_search::finding job_search::end_probe() {
  auto candidate = std::move(candidates_.back());
  candidates_.pop_back();
  if (is_ours_) {
    found_ = std::move(candidate);
    return finding::found;
  }
  others_.push_back(candidate.id);
  return judge();
}

} // namespace modelforge::batch
