#include "tests/batch/world.hpp"

#include <algorithm>
#include <utility>

// The world's jobs: what providers make of them, and who sees to them.

namespace modelforge::test {

using namespace std::chrono_literals;

void batch_world::carry_out(batch::ask_for_job& x) {
  auto provider = provider_of(x.provider);
  auto& nonce = x.request.nonce;
  oracle_.on_job_asked(x.request, providers_[provider].name, std::string_view{disk_.bytes}.substr(0, disk_.synced));
  if (!check().empty())
    return;
  runners_[nonce] = {};
  if (x.request.start == batch_job_start::create) {
    ++seen_.jobs;
    return create(x.request, provider);
  }
  ++seen_.taken_up;
  auto found = jobs_.find(nonce);
  if (found == jobs_.end() || !found->second.created) {
    if (found != jobs_.end())
      found->second.provider = SIZE_MAX; // what has not arrived by now never does
    return later(30s, [this, nonce] { end_job(nonce, batch_job_outcome::absent); });
  }
  if (x.request.cancel && found->second.ready > now_) {
    for (auto& [item, end] : found->second.items)
      if (end != fate::unsendable && chance(0.5))
        end = fate::not_run;
    found->second.ready = now_ + random(60s);
  }
  see_to(nonce, false);
}

/// A job is asked for the first time.
void batch_world::create(const batch_job_request& request, std::size_t provider) {
  auto nonce = request.nonce;
  if (!providers_[provider].has_jobs)
    return later(1ms, [this, nonce] {
      runners_.erase(nonce);
      oracle_.on_job_over(nonce, {});
      subject_->on_no_job(nonce, make_failure(errc::unsupported, "no batch API"), now_);
    });
  std::size_t queued = request.items.size();
  for (auto& [other, x] : jobs_)
    if (x.created && x.provider == provider && x.ready > now_)
      queued += x.items.size();
  if (queued > plan_.queue_room)
    return later(10s, [this, nonce] { end_job(nonce, batch_job_outcome::busy); });
  if (chance(plan_.refuse_share))
    return later(10s, [this, nonce] { end_job(nonce, batch_job_outcome::refused); });
  auto& x = jobs_[nonce];
  x.provider = provider;
  x.ready = now_ + random(chance(0.3) ? duration{24h} : duration{60s});
  x.unreadable = chance(plan_.unreadable_share);
  for (auto& item : request.items) {
    auto end = flawed_[item.number] ? fate::failed : fate::ok;
    if (chance(plan_.not_run_share))
      end = fate::not_run;
    else if (chance(plan_.silent_share))
      end = fate::silent;
    else if (chance(plan_.unsendable_share))
      end = fate::unsendable;
    x.items.emplace_back(item.number, end);
  }
  // The creation is on its way: it may arrive though who sent it is gone by then, or its answer may never come.
  at(
    now_ + random(5s),
    [this, nonce, life = life_, survives = chance(0.5)] {
      auto& created = jobs_.at(nonce);
      if (created.provider == SIZE_MAX || (life != life_ && !survives))
        return;
      created.created = true;
      created.id = "job-" + nonce;
    },
    true);
  at(now_ + 5s + random(60s), [this, nonce] { see_to(nonce, true); });
}

/// A job that exists is followed, from its creation or, in a later process, from when it has been found.
void batch_world::see_to(const std::string& nonce, bool is_creator) {
  auto& x = jobs_.at(nonce);
  auto& to = runners_.at(nonce);
  for (auto& [item, end] : x.items) {
    batch_job_result result{item, end == fate::ok || end == fate::failed, answer_to(item)};
    if (end == fate::failed)
      result.outcome = make_failure(errc::content_filtered, "made to fail");
    else if (end == fate::not_run)
      result.outcome = make_failure(chance(0.5) ? errc::deadline_exceeded : errc::cancelled, "not run");
    else if (end == fate::unsendable)
      result.outcome = make_failure(errc::invalid_request, "cannot be encoded");
    if (end == fate::silent || (end == fate::unsendable && !is_creator))
      continue;
    to.results.push_back(result);
    if (chance(plan_.repeat_share))
      to.results.push_back(result);
  }
  std::shuffle(to.results.begin(), to.results.end(), random_);
  if (trouble(plan_.undecided_share))
    return later(30s, [this, nonce] { end_job(nonce, batch_job_outcome::undecided); });
  if (trouble(plan_.lost_runner_share))
    return later(30s, [this, nonce] {
      runners_.erase(nonce);
      oracle_.on_withdrawn();
      subject_->on_job_lost(nonce, now_);
    });
  if (chance(0.8)) {
    oracle_.on_job_named(nonce, x.id);
    subject_->on_job_status({nonce, x.id, batch_job_state::running, "running", 0, 0, 0, 0ns, random(60s)}, now_);
  }
  at(std::max(x.ready, now_ + 1ns), [this, nonce] { tell_results(nonce); });
}

void batch_world::tell_results(const std::string& nonce) {
  auto found = runners_.find(nonce);
  if (found == runners_.end())
    return;
  auto& all = found->second.results;
  if (all.empty())
    return end_job(nonce, batch_job_outcome::finished);
  batch_job_results some{nonce, {}};
  std::vector<uint64_t> items;
  auto size = 1 + below(8);
  for (; !all.empty() && some.results.size() < size; all.pop_back()) {
    auto& result = all.back();
    auto is_result =
      result.outcome.index() == 0 || result.run || std::get<failure>(result.outcome).code == errc::invalid_request;
    auto verdict_of = result.outcome.index() == 0 ? verdict::ok : verdict::failed;
    if (is_result)
      items.push_back(result.number);
    if (!finish_) // else it is too late to be heard
      oracle_.on_job_result(nonce, result.number, is_result ? std::optional{verdict_of} : std::nullopt);
    some.results.push_back(std::move(result));
  }
  auto receipt = subject_->on_job_results(std::move(some));
  if (receipt && finish_)
    oracle_.fail("results are taken that nobody keeps");
  else if (receipt)
    receipts_[*receipt] = {nonce, items};
  else if (!finish_ && !news_.problem)
    oracle_.fail("results of a job are refused");
  else
    runners_.erase(nonce);
}

void batch_world::carry_out(const batch::confirm_results& x) {
  auto found = receipts_.extract(x.receipt);
  if (!found)
    return oracle_.fail("results are confirmed twice");
  oracle_.on_confirmed(found.mapped().second);
  later(1s, [this, nonce = found.mapped().first] { tell_results(nonce); });
}

void batch_world::end_job(const std::string& nonce, batch_job_outcome outcome) {
  if (runners_.erase(nonce) == 0)
    return;
  batch_job_end end;
  end.nonce = nonce;
  end.outcome = outcome;
  if (outcome != batch_job_outcome::finished)
    end.problem = make_failure(errc::server_error, "made to fail");
  if (finish_) // it is too late to be heard
    return subject_->on_job_end(end, now_);
  if (outcome == batch_job_outcome::undecided) {
    oracle_.on_withdrawn();
    return subject_->on_job_end(end, now_);
  }
  std::set<uint64_t> lost;
  if (outcome == batch_job_outcome::finished) {
    auto& x = jobs_.at(nonce);
    end.job = x.id;
    oracle_.on_job_named(nonce, x.id);
    end.unreadable = x.unreadable;
    if (x.unreadable)
      for (auto& [item, how] : x.items)
        if (how == fate::silent || how == fate::unsendable)
          lost.insert(item);
  }
  oracle_.on_job_over(nonce, lost);
  subject_->on_job_end(end, now_);
}

} // namespace modelforge::test
