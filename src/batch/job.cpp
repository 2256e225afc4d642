#include "batch/job.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::batch {

using namespace std::chrono_literals;

namespace {

/// Pages of a provider's list of jobs; each has 20 to 100.
constexpr uint32_t most_pages = 50;

/// How often a job that is over may say nothing of its results before we believe that it has none.
constexpr uint32_t most_looks_over = 3;

/// Creations of one job, each looked for in vain before the next. A provider that loses more of them loses them all.
constexpr std::size_t most_creations = 2;

/// After the last of them, how many times `settle` passes before the last look.
constexpr auto last_settles = 12;

bool is_success(uint16_t status) {
  return status >= 200 && status < 300;
}

/// Whether the provider counts it among its good results; we may be unable to use it.
bool is_good_to_provider(const wire::batch_result& x) {
  auto* bad = std::get_if<failure>(&x.answer);
  return x.end == wire::batch_end::succeeded || (bad != nullptr && is_success(bad->http_status));
}

/// Whether an answer says that the same call may do better later.
bool is_passing(uint16_t status) {
  return status == 408 || status == 409 || status == 425 || status == 429 || status >= 500;
}

} // namespace

job::job(const wire::batch_api& api, batch_job_request asked, std::vector<std::string> lines, job_timing timing,
         uint64_t seed)
  : api_(api), asked_(std::move(asked)), lines_(std::move(lines)), timing_(timing), random_(seed),
    poll_interval_(timing.first_poll), wants_cancel_(asked_.cancel) {
  asked_.items = {};
  switch (asked_.start) {
    case batch_job_start::create:
      step_ = api_.has_upload() ? step::upload : step::create;
      if (lines_.empty())
        finish(batch_job_outcome::finished);
      break;
    case batch_job_start::find:
      step_ = step::list;
      break;
    case batch_job_start::attach:
      step_ = step::poll;
      job_.id = asked_.job;
  }
}

std::optional<job::exchange> job::next(job_time now) {
  if (out_ || over() || now < due_)
    return {};
  out_ = true;
  switch (step_) {
    case step::upload:
      return exchange{api_.upload(lines_, asked_.nonce)};
    case step::create:
      return exchange{api_.create(input_, lines_, asked_.nonce)};
    case step::list:
      return exchange{api_.list(page_)};
    case step::probe:
      probed_ = probe_is_ours_ = false;
      return exchange{api_.download(candidates_.back().outputs.front()), true};
    case step::cancel:
      return exchange{api_.cancel(job_.id)};
    case step::download:
      broken_lines_ = broken_before_; // a download that was cut told of the same
      return exchange{api_.download(job_.outputs[output_]), true};
    default:
      return exchange{api_.poll(job_.id)};
  }
}

// -- answers ------------------------------------------------------------------------------

void job::take_answer(job_time now, const http::response_head& head, std::string_view body) {
  out_ = false;
  switch (step_) {
    case step::upload:
      return take_upload(now, head, body);
    case step::list:
      return take_list(now, head, body);
    case step::create:
    case step::poll:
    case step::cancel: {
      auto read = api_.decode_job(head, body);
      if (auto* why = std::get_if<failure>(&read))
        return refuse_or_retry(now, &head, std::move(*why), true);
      return take_job(now, std::move(std::get<wire::batch_status>(read)));
    }
    default:
      return refuse_or_retry(now, &head, wire::batch_refusal(head, body), true);
  }
}

void job::take_failure(job_time now, call_failure x) {
  out_ = false;
  refuse_or_retry(now, nullptr, std::move(x.why), x.written);
}

void job::take_upload(job_time now, const http::response_head& head, std::string_view body) {
  auto read = api_.decode_upload(head, body);
  if (auto* why = std::get_if<failure>(&read))
    return refuse_or_retry(now, &head, std::move(*why), true);
  input_ = std::get<std::string>(read);
  go(step::create, now);
}

void job::take_job(job_time now, wire::batch_status x) {
  if (step_ == step::cancel)
    cancel_sent_ = true;
  lines_ = {};
  follow(now, std::move(x));
}

/// What a call's end without success means for the job.
void job::refuse_or_retry(job_time now, const http::response_head* head, failure why, bool written) {
  auto passing = head == nullptr || is_passing(head->status) || is_success(head->status);
  if (step_ == step::create && written && (head == nullptr || head->status >= 500 || is_success(head->status))) {
    lost_creations_.push_back(std::move(why)); // it may exist now, whatever we were told
    return look_for_it(now);
  }
  if (step_ == step::cancel && !passing) { // e.g. it has ended meanwhile
    cancel_sent_ = true;
    return go(step::poll, now);
  }
  if (tries_++ == 0)
    failing_since_ = now;
  auto patient = step_ == step::poll || step_ == step::list || step_ == step::probe || step_ == step::download;
  if (!passing || (patient ? now - failing_since_ >= timing_.most_outage : tries_ >= timing_.most_tries))
    return fail(std::move(why));
  retry(now, std::min(why.retry_after.value_or(0ns), timing_.most_told_wait));
}

void job::retry(job_time now, std::chrono::nanoseconds least) {
  auto wait = timing_.first_retry;
  for (uint32_t i = 1; i < tries_ && wait < timing_.last_retry; ++i)
    wait *= 2;
  due_ = now + std::max(least, jittered(std::min(wait, timing_.last_retry)));
  if (step_ == step::list) { // from the first page: jobs may have come meanwhile
    page_.clear();
    pages_ = 0;
    candidates_.clear();
  }
}

void job::fail(failure why) {
  if (step_ == step::upload || (step_ == step::create && why.code != errc::rate_limited))
    return finish(batch_job_outcome::refused, std::move(why));
  if (step_ == step::create)
    return finish(batch_job_outcome::busy, std::move(why));
  finish(batch_job_outcome::undecided, std::move(why));
}

// -- looking for it -----------------------------------------------------------------------

void job::look_for_it(job_time now) {
  looks_without_ = 0;
  first_look_.reset();
  knows_all_ = false;
  page_.clear();
  pages_ = 0;
  candidates_.clear();
  go(step::list, now + jittered(timing_.settle));
}

void job::take_list(job_time now, const http::response_head& head, std::string_view body) {
  auto read = api_.decode_list(head, body);
  if (auto* why = std::get_if<failure>(&read))
    return refuse_or_retry(now, &head, std::move(*why), true);
  auto& page = std::get<wire::batch_page>(read);
  auto margin = static_cast<uint64_t>(timing_.clock_difference.count());
  auto not_before = asked_.not_before > margin ? asked_.not_before - margin : 0;
  auto old = false;
  if (!first_look_)
    first_look_ = now;
  for (auto& x : page.jobs) {
    if (x.nonce == asked_.nonce)
      return follow(now, std::move(x));
    old = old || (x.created && *x.created < not_before);
    auto known = std::find(asked_.others.begin(), asked_.others.end(), x.id) != asked_.others.end();
    if (api_.keeps_nonce() || known || old)
      continue;
    if (!knows_all_)
      may_be_it_.insert(x.id);
    if (may_be_it_.count(x.id) > 0)
      candidates_.push_back(std::move(x));
  }
  if (!old && !page.next.empty()) {
    if (++pages_ == most_pages) // what is behind may be it
      return fail(make_failure(errc::too_large, "the provider lists too many newer jobs to find this one"));
    page_ = page.next;
    due_ = now;
    return;
  }
  knows_all_ = knows_all_ || now - *first_look_ >= timing_.settle;
  judge_candidates(now);
}

/// Decides by what is left of the jobs that may be ours. One that is over tells by its results; one that runs may yet
/// be.
void job::judge_candidates(job_time now) {
  while (!candidates_.empty() && wire::is_over(candidates_.back().state) && candidates_.back().outputs.empty())
    candidates_.pop_back(); // it had no results, so none of ours
  auto over = std::find_if(candidates_.begin(), candidates_.end(),
                           [](auto& x) { return wire::is_over(x.state) && !x.outputs.empty(); });
  if (over != candidates_.end()) {
    std::iter_swap(over, candidates_.end() - 1);
    return go(step::probe, now);
  }
  page_.clear();
  pages_ = 0;
  if (!candidates_.empty()) {
    candidates_.clear();
    looks_without_ = 0;
    poll_interval_ = std::min<std::chrono::nanoseconds>(poll_interval_ * 3 / 2, timing_.last_poll);
    return go(step::list, now + jittered(poll_interval_));
  }
  if (++looks_without_ < 2)
    return go(step::list, now + timing_.settle);
  if (lost_creations_.empty() || wants_cancel_)
    return finish(batch_job_outcome::absent);
  if (lost_creations_.size() < most_creations)
    return go(step::create, now);
  if (!std::exchange(looks_last_, true)) // what is sent otherwise is paid for certain: look once more, later
    return go(step::list, now + last_settles * timing_.settle);
  finish(batch_job_outcome::refused, lost_creations_.back());
}

// -- a job that is known --------------------------------------------------------------------

void job::follow(job_time now, wire::batch_status x) {
  job_ = std::move(x);
  tries_ = 0;
  if (job_.state == batch_job_state::failed) {
    auto why = job_.problem.value_or(make_failure(errc::server_error, "the provider says that the job has failed"));
    return finish(why.code == errc::rate_limited ? batch_job_outcome::busy : batch_job_outcome::refused, why);
  }
  if (wire::is_over(job_.state)) {
    auto has_none = job_.outputs.empty() && !job_.problem;
    if (!has_none || (job_.state == batch_job_state::cancelled && job_.succeeded == 0))
      return fetch_next(now);
    if (++looks_over_ == most_looks_over) {
      if (job_.succeeded == 0)
        return fetch_next(now);
      return fail(make_failure(errc::invalid_response, "the job is over and has answers, but the provider does not say "
                                                       "where they are"));
    }
  }
  if (wants_cancel_ && !cancel_sent_ && !wire::is_over(job_.state))
    return go(step::cancel, now);
  go(step::poll, now + jittered(poll_interval_));
  poll_interval_ = std::min<std::chrono::nanoseconds>(poll_interval_ * 3 / 2, timing_.last_poll);
}

void job::cancel(job_time now) {
  if (std::exchange(wants_cancel_, true) || out_)
    return;
  if (step_ == step::poll)
    go(step::cancel, now);
}

void job::fetch_next(job_time now) {
  if (output_ < job_.outputs.size())
    return go(step::download, now);
  auto problem = job_.problem;
  if (broken_lines_ > 0 && !problem)
    problem = make_failure(errc::invalid_response, std::to_string(broken_lines_)
                                                     + " lines of the job's results are broken, or no result of ours");
  auto unreadable = broken_lines_ > 0 || told_succeeded_ < job_.succeeded;
  if (unreadable && !problem)
    problem = make_failure(errc::invalid_response, "the provider tells of " + std::to_string(job_.succeeded)
                                                     + " good results and gave " + std::to_string(told_succeeded_));
  finish(batch_job_outcome::finished, std::move(problem));
  end_->unreadable = unreadable;
}

std::optional<batch_job_result> job::take_line(std::string_view line) {
  if (line.find_first_not_of(" \t\r") == line.npos)
    return {};
  auto read = api_.decode_result(line);
  auto* result = std::get_if<wire::batch_result>(&read);
  auto number = result != nullptr ? wire::batch_item_number(asked_.nonce, result->id) : std::nullopt;
  if (step_ == step::probe) {
    probed_ = probed_ || result != nullptr;
    probe_is_ours_ = probe_is_ours_ || number.has_value();
    return {};
  }
  if (!number || (told_.size() >= wire::most_job_items && !told_.contains(*number))) {
    ++broken_lines_;
    return {};
  }
  if (!told_.insert(*number).second)
    return {}; // a download that was cut brings the same again
  told_succeeded_ += is_good_to_provider(*result);
  auto run = result->end == wire::batch_end::succeeded || result->end == wire::batch_end::errored;
  return batch_job_result{*number, run, std::move(result->answer)};
}

void job::end_lines(job_time now) {
  out_ = false;
  tries_ = 0;
  if (step_ == step::download) {
    ++output_;
    broken_before_ = broken_lines_;
    return fetch_next(now);
  }
  auto candidate = std::move(candidates_.back());
  candidates_.pop_back();
  if (probe_is_ours_)
    return follow(now, std::move(candidate));
  asked_.others.push_back(candidate.id);
  judge_candidates(now);
}

// -- what it is ---------------------------------------------------------------------------

void job::finish(batch_job_outcome outcome, std::optional<failure> problem) {
  end_ = batch_job_end{asked_.nonce, job_.id, outcome, std::move(problem)};
  lines_ = {};
}

batch_job_status job::status(job_time now) const {
  batch_job_status x;
  x.nonce = asked_.nonce;
  x.job = job_.id;
  x.state = job_.state;
  x.raw_state = job_.raw_state;
  x.total = job_.total;
  x.succeeded = job_.succeeded;
  x.failed = job_.failed;
  if (job_.raw_state.empty())
    x.state = batch_job_state::checking;
  if (due_ > now && !out_)
    x.next_look = due_ - now;
  return x;
}

std::chrono::nanoseconds job::jittered(std::chrono::nanoseconds x) {
  auto half = x / 2;
  return half + std::chrono::nanoseconds{std::uniform_int_distribution<int64_t>{0, half.count()}(random_)};
}

} // namespace modelforge::batch
