#include "batch/job_control.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace modelforge::batch {

namespace {

using namespace std::chrono_literals;

std::string make_nonce(std::mt19937_64& random) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(random()));
  return text;
}

/// Whether the provider says that it did not come to an item, and charges nothing.
bool is_not_run(const batch_job_result& result) {
  auto* why = std::get_if<failure>(&result.outcome);
  return why != nullptr && !result.run && (why->code == errc::deadline_exceeded || why->code == errc::cancelled);
}

} // namespace

// -- jobs of earlier runs -----------------------------------------------------------------

std::optional<failure> job_control::find_providers() {
  std::optional<failure> problem;
  book_.for_each([&](known_job& job) {
    auto provider = pool_.find(job.entry.provider);
    if (provider) {
      job.provider = *provider;
      pool_.on_job_begun(*provider);
    } else if (!problem) {
      problem = make_failure(errc::configuration,
                             "the batch has a job at the provider " + job.entry.provider
                               + ", which is not among its providers now",
                             "run it with that provider, or start over with --fresh");
    }
  });
  return problem;
}

void job_control::recover(uint64_t index, std::string custom_id, const chat_request* request, uint32_t estimated) {
  book_.recover(index, {std::move(custom_id), estimated, request != nullptr ? demand_of(*request) : nullptr});
}

std::shared_ptr<const wire::json_demand> job_control::demand_of(const chat_request& request) {
  if (request.response_format.kind == response_kind::text)
    return {};
  if (last_format_ != request.response_format) {
    last_format_ = request.response_format;
    last_demand_ = wire::json_demand::of(*last_format_, json_check::fail);
  }
  return last_demand_;
}

void job_control::resume() {
  book_.end_recovery();
  book_.for_each([&](const known_job& job) {
    auto request = book_.resume(job);
    request.cancel = rules_.cancel;
    outcomes_.push(ask_for_job{job.provider, std::move(request)});
  });
}

// -- making jobs --------------------------------------------------------------------------

bool job_control::add(uint64_t index, const std::string& custom_id, chat_request& request, uint32_t estimated,
                      time_point now) {
  if (!rules_.used || outcomes_.states().is_kept_live(index) || !pool_.any_takes_jobs())
    return false;
  auto* draft = builder_.find(request.model);
  if (draft == nullptr)
    draft = &builder_.begin(request.model, *pool_.choose_for_job(now));
  builder_.add(*draft, index, {custom_id, estimated, demand_of(request)}, std::move(request));
  outcomes_.states().set(index, item_state::held);
  return true;
}

void job_control::begin(time_point now, uint64_t unix_now, bool rest) {
  while (auto draft = builder_.take_next(pool_, now, rest)) {
    auto provider = draft->provider;
    auto nonce = make_nonce(random_);
    pool_.on_job_begun(provider);
    auto request = book_.begin(nonce, std::move(*draft), pool_.name(provider), unix_now);
    outcomes_.note(book_.find(nonce)->entry);
    outcomes_.when_safe(ask_for_job{provider, std::move(request)});
  }
}

void job_control::drop(const std::string& nonce) {
  outcomes_.note(job_ended{nonce, "not sent"});
  release(nonce, false);
}

// -- what comes of them -------------------------------------------------------------------

void job_control::learn_id(known_job& job, const std::string& id) {
  if (book_.learn_id(job, id))
    outcomes_.note(job_named{job.entry.nonce, id});
}

void job_control::on_status(batch_job_status status, time_point now) {
  auto* job = book_.find(status.nonce);
  if (job == nullptr)
    return;
  learn_id(*job, status.job);
  job->next_look.reset();
  if (status.next_look)
    job->next_look = now + *status.next_look;
  job->status = std::move(status);
}

item_origin job_control::origin_of(const known_job& job, const job_item& item) const {
  return {job.provider, item.estimated, true, 1 / rules_.prices[job.provider]};
}

std::optional<uint64_t> job_control::on_results(batch_job_results results) {
  auto* job = book_.find(results.nonce);
  if (job == nullptr || outcomes_.is_closed())
    return {};
  for (auto& result : results.results) {
    auto found = job->items.find(result.number);
    if (found == job->items.end()) // it was told before, in an earlier run
      continue;
    auto* answer = std::get_if<completion>(&result.outcome);
    if (auto& json = found->second.json; json != nullptr && answer != nullptr)
      if (auto wrong = json->judge(*answer)) {
        wrong->provider = answer->provider;
        wrong->model = answer->model;
        wrong->http_status = 200;
        result.outcome = std::move(*wrong);
      }
    if (is_not_run(result))
      job->not_run.push_back(result.number);
    else
      outcomes_.record(result.number, std::move(found->second.custom_id), std::move(result.outcome),
                       origin_of(*job, found->second));
    job->items.erase(found);
  }
  outcomes_.when_safe(confirm_results{++receipts_});
  return receipts_;
}

std::optional<failure> job_control::on_no_job(const std::string& nonce, failure why, time_point now) {
  auto* job = book_.find(nonce);
  auto has_none = why.code == errc::unsupported && job != nullptr && job->entry.id.empty();
  auto outcome = has_none ? batch_job_outcome::refused : batch_job_outcome::undecided;
  return on_end({nonce, {}, outcome, std::move(why)}, now);
}

std::optional<failure> job_control::on_lost(const std::string& nonce, time_point now) {
  return on_end({nonce,
                 {},
                 batch_job_outcome::undecided,
                 make_failure(errc::node_lost, "the provider's actor that saw to a job is gone",
                              "run the same command again: the job goes on")},
                now);
}

std::optional<failure> job_control::on_end(const batch_job_end& end, time_point now) {
  auto* job = book_.find(end.nonce);
  if (job == nullptr)
    return {};
  learn_id(*job, end.job);
  if (end.outcome == batch_job_outcome::undecided) {
    pool_.on_job_gone(job->provider);
    book_.forget(end.nonce); // in the ledger it stays
    auto why = end.problem.value_or(make_failure(errc::internal, "a provider's job is in an unknown state"));
    if (why.suggestion.empty())
      why.suggestion = "run the same command again to go on, or start over with --fresh (which may pay twice)";
    return why;
  }
  outcomes_.note(job_ended{end.nonce, to_string(end.outcome)});
  auto reason = end.problem ? to_string(*end.problem) : std::string{};
  if (end.outcome == batch_job_outcome::finished && end.unreadable)
    give_up_rest(*job, reason);
  judge_provider(*job, end, reason, now);
  release(end.nonce, end.outcome == batch_job_outcome::finished && rules_.expired_live);
  return {};
}

/// The provider has run these, but their results cannot be had: sending them again is for the user to decide.
void job_control::give_up_rest(known_job& job, const std::string& reason) {
  for (auto& [index, item] : std::exchange(job.items, {}))
    outcomes_.record(index, item.custom_id,
                     make_failure(errc::outcome_unknown,
                                  "the provider may have run this item, but its result cannot be read: " + reason,
                                  "--retry-failed sends it again, which may be paid twice"),
                     origin_of(job, item));
}

/// Whether its provider gets more: one that refused a job gets none for the rest of the run, one whose queue is full
/// later or smaller ones. What was being put together for it goes back, to be read again.
void job_control::judge_provider(const known_job& job, const batch_job_end& end, const std::string& reason,
                                 time_point now) {
  auto provider = job.provider;
  auto& name = pool_.name(provider);
  auto is_busy = end.outcome == batch_job_outcome::busy;
  if (!is_busy && end.outcome != batch_job_outcome::refused) {
    pool_.on_job_done(provider);
    if (!reason.empty())
      outcomes_.figures().warn("a job of " + name + ": " + reason);
    return;
  }
  if (!is_busy || !pool_.on_job_busy(provider, job.items.size(), now)) {
    pool_.refuse_jobs(provider);
    outcomes_.figures().warn("the batch API of " + name + " is not used, requests go out one by one: " + reason);
  }
  for (auto index : builder_.take_apart(provider)) // they are read again: for smaller jobs, others' jobs, or live
    outcomes_.give_back(index);
}

void job_control::release(const std::string& nonce, bool keep_live) {
  auto job = book_.end(nonce);
  pool_.on_job_gone(job.provider);
  for (auto& [index, item] : job.items)
    outcomes_.give_back(index, keep_live);
  for (auto index : job.not_run)
    outcomes_.give_back(index, keep_live);
}

void job_control::describe(batch_progress& to, time_point now) const {
  book_.for_each([&](const known_job& job) {
    to.in_jobs += job.items.size();
    auto& status = to.jobs.emplace_back(job.status);
    if (job.next_look)
      status.next_look = std::max<std::chrono::nanoseconds>(*job.next_look - now, 0ns);
  });
}

} // namespace modelforge::batch
