#include "batch/job.hpp"

#include "base/ascii.hpp"
#include "json/reader.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::batch {

using namespace std::chrono_literals;

namespace {

/// How often a job that is over may say nothing of its results before we believe that it has none.
constexpr uint32_t max_looks_over = 3;

/// Creations of one job, each looked for in vain before the next. A provider that loses more of them loses them all.
constexpr std::size_t max_creations = 2;

/// After the last of them, how many times `settle` passes before the last look.
constexpr auto last_settles = 12;

bool is_success(uint16_t status) {
  return status >= 200 && status < 300;
}

/// Whether an answer says that the same call may do better later.
bool is_passing(uint16_t status) {
  return status == 408 || status == 409 || status == 425 || status == 429 || status >= 500;
}

/// The earliest time that the provider's clock can have shown when the job was created.
uint64_t earliest_creation(uint64_t meant_for, std::chrono::seconds clock_difference) {
  auto margin = static_cast<uint64_t>(clock_difference.count());
  return meant_for > margin ? meant_for - margin : 0;
}

} // namespace

job::job(const wire::batch_api& api, batch_job_request asked, std::vector<std::string> lines, job_timing timing,
         uint64_t seed)
  : api_(api), asked_(std::move(asked)), lines_(std::move(lines)), timing_(timing), random_(seed),
    poll_interval_(timing.first_poll), cancellation_(asked_.cancel ? cancellation::wanted : cancellation::unwanted),
    search_(asked_.nonce, std::move(asked_.others), earliest_creation(asked_.not_before, timing.clock_difference),
            timing.settle) {
  asked_.items = {};
  switch (asked_.start) {
    case batch_job_start::create:
      call_.what = api_.has_upload() ? step::upload : step::create;
      if (lines_.empty())
        finish(batch_job_outcome::finished);
      break;
    case batch_job_start::find:
      call_.what = step::list;
      break;
    case batch_job_start::attach:
      call_.what = step::poll;
      job_.id = asked_.job;
  }
}

void job::go(step to, time_point when) {
  call_ = {to, when, call_.is_out};
}

std::optional<job::exchange> job::next(time_point now) {
  if (call_.is_out || over() || now < call_.due)
    return {};
  call_.is_out = true;
  switch (call_.what) {
    case step::upload:
      return exchange{api_.upload(lines_, asked_.nonce)};
    case step::create:
      return exchange{api_.create(input_, lines_, asked_.nonce)};
    case step::list:
      return exchange{api_.list(search_.page())};
    case step::probe:
      search_.begin_probe();
      return exchange{api_.download(search_.probed_output()), true};
    case step::cancel:
      return exchange{api_.cancel(job_.id)};
    case step::download:
      results_.begin_output();
      return exchange{api_.download(job_.outputs[results_.outputs()]), true};
    default:
      return exchange{api_.poll(job_.id)};
  }
}

// -- answers ------------------------------------------------------------------------------

void job::take_answer(time_point now, const http::response_head& head, std::string_view body) {
  call_.is_out = false;
  switch (call_.what) {
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

void job::take_failure(time_point now, call_failure failed) {
  call_.is_out = false;
  refuse_or_retry(now, nullptr, std::move(failed.why), failed.written);
}

void job::take_upload(time_point now, const http::response_head& head, std::string_view body) {
  auto read = api_.decode_upload(head, body);
  if (auto* why = std::get_if<failure>(&read))
    return refuse_or_retry(now, &head, std::move(*why), true);
  input_ = std::get<std::string>(read);
  go(step::create, now);
}

void job::take_job(time_point now, wire::batch_status status) {
  if (call_.what == step::cancel)
    cancellation_ = cancellation::sent;
  lines_ = {};
  follow(now, std::move(status));
}

/// What a call's end without success means for the job.
void job::refuse_or_retry(time_point now, const http::response_head* head, failure why, bool written) {
  auto passing = head == nullptr || is_passing(head->status) || is_success(head->status);
  if (call_.what == step::create && written && (head == nullptr || head->status >= 500 || is_success(head->status))) {
    lost_.all.push_back(std::move(why)); // it may exist now, whatever we were told
    return look_for_it(now);
  }
  if (call_.what == step::cancel && !passing) { // e.g. it has ended meanwhile
    cancellation_ = cancellation::sent;
    return go(step::poll, now);
  }
  if (call_.tries++ == 0)
    call_.failing_since = now;
  auto patient =
    call_.what == step::poll || call_.what == step::list || call_.what == step::probe || call_.what == step::download;
  if (!passing || (patient ? now - call_.failing_since >= timing_.max_outage : call_.tries >= timing_.max_tries))
    return fail(std::move(why));
  retry(now, std::min(why.retry_after.value_or(0ns), timing_.max_told_wait));
}

void job::retry(time_point now, std::chrono::nanoseconds least) {
  auto wait = timing_.first_retry;
  for (uint32_t i = 1; i < call_.tries && wait < timing_.last_retry; ++i)
    wait *= 2;
  call_.due = now + std::max(least, jittered(std::min(wait, timing_.last_retry)));
  if (call_.what == step::list)
    search_.begin_list();
}

void job::fail(failure why) {
  if (call_.what == step::upload || (call_.what == step::create && why.code != errc::rate_limited))
    return finish(batch_job_outcome::refused, std::move(why));
  if (call_.what == step::create)
    return finish(batch_job_outcome::busy, std::move(why));
  finish(batch_job_outcome::undecided, std::move(why));
}

// -- looking for it -----------------------------------------------------------------------

void job::look_for_it(time_point now) {
  search_.begin();
  go(step::list, now + jittered(timing_.settle));
}

void job::take_list(time_point now, const http::response_head& head, std::string_view body) {
  auto read = api_.decode_list(head, body);
  if (auto* why = std::get_if<failure>(&read))
    return refuse_or_retry(now, &head, std::move(*why), true);
  go_on_looking(now, search_.take_page(now, std::move(std::get<wire::batch_page>(read)), api_.keeps_nonce()));
}

void job::go_on_looking(time_point now, job_search::finding found) {
  using finding = job_search::finding;
  switch (found) {
    case finding::found:
      return follow(now, search_.take_found());
    case finding::next_page:
      call_.due = now;
      return;
    case finding::too_many:
      return fail(make_failure(errc::too_large, "the provider lists too many newer jobs to find this one"));
    case finding::probe:
      return go(step::probe, now);
    case finding::may_run:
      lengthen_poll_interval();
      return go(step::list, now + jittered(poll_interval_));
    case finding::not_yet:
      return go(step::list, now + timing_.settle);
    case finding::not_there:
      return go_without(now);
  }
}

/// It does not exist: it is created, again if need be, or given up.
void job::go_without(time_point now) {
  if (lost_.all.empty() || cancellation_ != cancellation::unwanted)
    return finish(batch_job_outcome::absent);
  if (lost_.all.size() < max_creations)
    return go(step::create, now);
  if (!std::exchange(lost_.looked_last, true)) // what is sent otherwise is paid for certain: look once more, later
    return go(step::list, now + last_settles * timing_.settle);
  finish(batch_job_outcome::refused, lost_.all.back());
}

// -- a job that is known --------------------------------------------------------------------

// A job that is over may say a moment later where its results are, so it is asked a few times more before that counts
// as its word.
void job::follow(time_point now, wire::batch_status status) {
  job_ = std::move(status);
  call_.tries = 0;
  if (job_.state == batch_job_state::failed) {
    auto why = job_.problem.value_or(make_failure(errc::server_error, "the provider says that the job has failed"));
    return finish(why.code == errc::rate_limited ? batch_job_outcome::busy : batch_job_outcome::refused, why);
  }
  if (wire::is_over(job_.state)) {
    auto has_none = job_.outputs.empty() && !job_.problem;
    if (!has_none || (job_.state == batch_job_state::cancelled && job_.succeeded == 0))
      return fetch_next(now);
    if (++looks_over_ == max_looks_over) {
      if (job_.succeeded == 0)
        return fetch_next(now);
      return fail(make_failure(errc::invalid_response, "the job is over and has answers, but the provider does not say "
                                                       "where they are"));
    }
  }
  if (cancellation_ == cancellation::wanted && !wire::is_over(job_.state))
    return go(step::cancel, now);
  go(step::poll, now + jittered(poll_interval_));
  lengthen_poll_interval();
}

void job::lengthen_poll_interval() {
  poll_interval_ = std::min<std::chrono::nanoseconds>(poll_interval_ * 3 / 2, timing_.last_poll);
}

void job::cancel(time_point now) {
  if (cancellation_ != cancellation::unwanted)
    return;
  cancellation_ = cancellation::wanted;
  if (!call_.is_out && call_.what == step::poll)
    go(step::cancel, now);
}

// When all files have been read, what came is compared with what the provider says: results that are missing or broken
// make the rest unreadable, so that nobody takes them for items that were not run.
void job::fetch_next(time_point now) {
  if (results_.outputs() < job_.outputs.size())
    return go(step::download, now);
  auto problem = job_.problem;
  if (results_.broken() > 0 && !problem)
    problem =
      make_failure(errc::invalid_response, std::to_string(results_.broken())
                                             + " lines of the job's results are broken, or are not results of ours");
  auto unreadable = results_.broken() > 0 || results_.succeeded() < job_.succeeded;
  if (unreadable && !problem)
    problem =
      make_failure(errc::invalid_response, "the provider reports " + std::to_string(job_.succeeded)
                                             + " good results and gave " + std::to_string(results_.succeeded()));
  if (auto count = results_.contradicted(); count > 0) {
    auto text = "for " + std::to_string(count)
                + " of its items the job has two results that differ; a good one counts, else the first one";
    if (problem)
      problem->message += "; " + text;
    else
      problem = make_failure(errc::invalid_response, std::move(text));
  }
  finish(batch_job_outcome::finished, std::move(problem));
  end_->unreadable = unreadable;
}

// An array may stand on one line, or each of its elements on one, with what parts them.
std::vector<batch_job_result> job::take_line(std::string_view line) {
  std::vector<batch_job_result> results;
  auto text = ascii::trim(line);
  json::reader in{text};
  if (text.starts_with('[') && in.elements([&] { take_result(in.value().text, results); }) && in.finish())
    return results;
  if (text.starts_with('['))
    text = ascii::trim(text.substr(1));
  if (text.ends_with(','))
    text = ascii::trim(text.substr(0, text.size() - 1));
  if (text.ends_with(']') && !json::reader{text}.finish())
    text = ascii::trim(text.substr(0, text.size() - 1));
  take_result(text, results);
  return results;
}

std::optional<batch_job_result> job::take_kept() {
  return over() && end_->outcome == batch_job_outcome::finished ? results_.take_kept() : std::nullopt;
}

void job::take_result(std::string_view text, std::vector<batch_job_result>& to) {
  if (text.empty())
    return;
  auto read = api_.decode_result(text);
  if (call_.what != step::probe) {
    if (auto result = results_.take(asked_.nonce, text, std::move(read)))
      to.push_back(std::move(*result));
    return;
  }
  auto* result = std::get_if<wire::batch_result>(&read);
  search_.take_line(result != nullptr, result != nullptr && wire::batch_item_number(asked_.nonce, result->id));
}

void job::end_lines(time_point now) {
  call_.is_out = false;
  call_.tries = 0;
  if (call_.what == step::probe)
    return go_on_looking(now, search_.end_probe());
  results_.end_output();
  fetch_next(now);
}

// -- what it is ---------------------------------------------------------------------------

void job::finish(batch_job_outcome outcome, std::optional<failure> problem) {
  end_ = batch_job_end{asked_.nonce, job_.id, outcome, std::move(problem)};
  lines_ = {};
}

batch_job_status job::status(time_point now) const {
  batch_job_status status;
  status.nonce = asked_.nonce;
  status.job = job_.id;
  status.state = job_.state;
  status.raw_state = job_.raw_state;
  status.total = job_.total;
  status.succeeded = job_.succeeded;
  status.failed = job_.failed;
  if (job_.raw_state.empty())
    status.state = batch_job_state::checking;
  if (call_.due > now && !call_.is_out)
    status.next_look = call_.due - now;
  return status;
}

std::chrono::nanoseconds job::jittered(std::chrono::nanoseconds wait) {
  auto half = wait / 2;
  return half + std::chrono::nanoseconds{std::uniform_int_distribution<int64_t>{0, half.count()}(random_)};
}

} // namespace modelforge::batch
