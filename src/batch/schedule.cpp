#include "batch/schedule.hpp"

#include <algorithm>

namespace modelforge::batch {

namespace {

using namespace std::chrono_literals;

/// What a provider promises for a job, where nothing goes wrong.
constexpr auto job_window = 24h;

/// A later end is as good as none, and clocks have bounds.
constexpr auto max_deadline = 24h * 3650;

bool uses_jobs(const schedule_setup& setup) {
  auto& options = setup.options;
  if (options.mode != batch_mode::automatic)
    return options.mode == batch_mode::provider;
  return !setup.ledger.empty() && (!options.finish_within || *options.finish_within >= job_window);
}

job_rules rules_of(const schedule_setup& setup) {
  job_rules rules;
  rules.used = uses_jobs(setup);
  rules.expired_live = setup.options.after_expiry == batch_mode::live;
  rules.cancel = setup.options.cancel_jobs;
  rules.max_items = setup.options.job_items;
  rules.max_bytes = setup.limits.max_job_bytes;
  for (auto& provider : setup.providers)
    rules.prices.push_back(provider.job_price);
  return rules;
}

} // namespace

schedule::schedule(schedule_setup setup)
  : setup_(std::move(setup)), defaults_(setup_.options.model, setup_.options.sampling, setup_.options.extra),
    random_(setup_.seed), outcomes_(setup_.providers.size()),
    pool_(setup_.providers, {setup_.options.busy_pause, setup_.limits.max_jobs}),
    live_(pool_, outcomes_, random_, setup_.options.keep_going), jobs_(rules_of(setup_), pool_, outcomes_, random_) {
  if (setup_.options.mode == batch_mode::automatic)
    for (std::size_t i = 0; i < setup_.providers.size(); ++i)
      if (setup_.providers[i].job_price >= 1) // a batch API that is not cheaper is not used
        pool_.refuse_jobs(i);
}

// -- starting -----------------------------------------------------------------------------

void schedule::load(const ledger& known) {
  outcomes_.load(known, setup_.ledger, setup_.options.retry_failed);
  jobs_.load(known);
}

void schedule::start(time_point now) {
  outcomes_.figures().begin(now);
  if (setup_.options.finish_within)
    finish_at_ = now + std::min<std::chrono::nanoseconds>(*setup_.options.finish_within, max_deadline);
  if (cancelled_)
    return begin_stopping();
  phase_ = phase::asking;
  if (pool_.start_asking(now))
    outcomes_.push(ask_statuses{});
}

void schedule::on_status(std::size_t provider, const provider_status& status) {
  pool_.on_status(provider, status);
  outcomes_.figures().name(provider, status.name);
  if (phase_ == phase::asking && pool_.all_answered())
    begin();
}

void schedule::on_no_status(std::size_t provider, failure why) {
  pool_.on_no_status();
  if (phase_ != phase::asking)
    return;
  pool_.refuse_jobs(provider); // they are found again by its name
  if (!silence_)
    silence_ = std::move(why);
  if (pool_.all_answered())
    begin();
}

/// All providers have said how they are, or will not.
void schedule::begin() {
  auto problem = jobs_.find_providers();
  if (!problem && jobs_.are_used() && !pool_.any_is_known())
    problem = silence_;
  if (problem)
    return stop(silence_ ? silence_ : problem);
  if (jobs_.has_jobs())
    phase_ = phase::recovering;
  else
    phase_ = setup_.options.cancel_jobs ? phase::waiting : phase::sending;
}

// -- deciding -----------------------------------------------------------------------------

std::optional<step> schedule::next(time_point now, uint64_t unix_now) {
  if (!outcomes_.has_steps())
    plan(now, unix_now);
  return outcomes_.next_step();
}

/// Finds out what is to be done, if anything is: first what frees memory, reading last.
void schedule::plan(time_point now, uint64_t unix_now) {
  if (phase_ <= phase::asking || is_over())
    return;
  while (auto safe = outcomes_.next_safe())
    go_on_with(std::move(*safe));
  if (phase_ == phase::stopping) {
    if (!outcomes_.has_steps() && !outcomes_.has_waiting() && live_.empty())
      finish();
    return;
  }
  if (pool_.start_asking(now))
    outcomes_.push(ask_statuses{});
  live_.resume(now);
  if (phase_ >= phase::starved) // nothing comes that could settle what is in doubt
    live_.settle_last();
  jobs_.begin(now, unix_now, phase_ == phase::waiting);
  if (!outcomes_.has_steps())
    read_on(now);
}

void schedule::go_on_with(safe_step safe) {
  auto* creation = std::get_if<ask_for_job>(&safe);
  if (creation != nullptr && phase_ == phase::stopping)
    jobs_.drop(creation->request.nonce);
  else
    std::visit([this](auto& x) { outcomes_.push(std::move(x)); }, safe);
}

// Reads an item where there is room, or begins another pass: only when what came back may be sent now, since each pass
// goes through the whole input.
void schedule::read_on(time_point now) {
  switch (phase_) {
    case phase::recovering:
      outcomes_.push(read_item{});
      break;
    case phase::sending:
      if (may_read(now))
        outcomes_.push(read_item{});
      break;
    case phase::waiting:
      if (is_done())
        return finish();
      if (outcomes_.states().returned() == 0 || setup_.options.cancel_jobs || jobs_.is_making()
          || !pool_.may_begin_any(now))
        break;
      outcomes_.states().begin_pass();
      outcomes_.push(rewind_input{});
      phase_ = phase::sending;
      break;
    default:
      break;
  }
}

bool schedule::may_read(time_point now) const {
  // What waits to be repeated is not in flight, and when there is much of it, it must not keep the rest back.
  return outcomes_.unsafe() < setup_.limits.max_unsafe && !live_.resume_at()
         && live_.size() < max_in_flight() + pool_.waiting() && !jobs_.is_blocked(now);
}

/// Items that may be in flight.
uint64_t schedule::max_in_flight() const {
  return setup_.options.max_concurrent != 0 ? setup_.options.max_concurrent : pool_.slots();
}

bool schedule::is_done() const {
  return live_.empty() && !outcomes_.has_waiting() && !jobs_.has_jobs() && !jobs_.is_making()
         && (outcomes_.states().returned() == 0 || setup_.options.cancel_jobs);
}

std::optional<time_point> schedule::wake_at(time_point now) const {
  if (phase_ < phase::sending || phase_ >= phase::stopping)
    return {};
  auto offer = pool_.next_offer(now);
  auto resume = live_.resume_at();
  return offer && resume ? std::min(offer, resume) : offer ? offer : resume;
}

// -- the input ----------------------------------------------------------------------------

bool schedule::wants(uint64_t index) const {
  return outcomes_.states().of(index) == (phase_ == phase::recovering ? item_state::held : item_state::missing);
}

void schedule::on_item(item read, uint32_t estimated, time_point now) {
  items_ = std::max(items_, read.index + 1);
  if (!wants(read.index))
    return;
  outcomes_.note_line(read.index, read.sum, read.endpoint);
  if (phase_ == phase::recovering)
    return jobs_.recover(read.index, std::move(read.custom_id), std::get_if<chat_request>(&read.request), estimated);
  if (phase_ != phase::sending)
    return;
  if (auto* problem = std::get_if<failure>(&read.request))
    return outcomes_.record(read.index, std::move(read.custom_id), std::move(*problem), {});
  auto& request = std::get<chat_request>(read.request);
  read.vectors ? defaults_.name_model(request) : defaults_.apply(request);
  if (!read.vectors && jobs_.add(read.index, read.custom_id, request, estimated, now))
    return;
  if (!request.response_format.check)
    request.response_format.check = json_check::fail; // a row that is not as asked for must be told apart
  request.priority = priority::batch;
  if (!request.deadline)
    request.deadline = setup_.options.deadline;
  if (finish_at_) {
    auto rest = std::max<std::chrono::nanoseconds>(*finish_at_ - now, 1ns);
    request.deadline = std::min(request.deadline.value_or(rest), rest);
  }
  live_.send(read.index, std::move(read.custom_id), std::move(request), estimated, now, std::move(read.vectors));
}

void schedule::on_input_end() {
  if (phase_ == phase::recovering) {
    jobs_.resume();
    phase_ = setup_.options.cancel_jobs ? phase::waiting : phase::sending;
    if (phase_ == phase::sending)
      outcomes_.push(rewind_input{});
  } else if (phase_ == phase::sending) {
    phase_ = phase::waiting;
    if (outcomes_.figures().total() == items_)
      return;
    outcomes_.figures().set_total(items_);
    outcomes_.note(input_total{items_});
  }
}

void schedule::on_input_wait() {
  if (phase_ == phase::sending)
    phase_ = phase::starved;
}

void schedule::on_input_ready() {
  if (phase_ == phase::starved)
    phase_ = phase::sending;
}

// -- jobs ---------------------------------------------------------------------------------

void schedule::on_job_status(batch_job_status status, time_point now) {
  if (!is_over())
    jobs_.on_status(std::move(status), now);
}

std::optional<uint64_t> schedule::on_job_results(batch_job_results results) {
  return is_over() ? std::nullopt : jobs_.on_results(std::move(results));
}

void schedule::on_job_end(const batch_job_end& end, time_point now) {
  if (!is_over())
    stop(jobs_.on_end(end, now));
}

void schedule::on_no_job(const std::string& nonce, failure why, time_point now) {
  if (!is_over())
    stop(jobs_.on_no_job(nonce, std::move(why), now));
}

void schedule::on_job_lost(const std::string& nonce, time_point now) {
  if (!is_over())
    stop(jobs_.on_lost(nonce, now));
}

// -- ending -------------------------------------------------------------------------------

void schedule::on_kept(const recorder_news& news) {
  outcomes_.on_kept(news);
  if (news.problem)
    stop(news.problem);
  if (!news.finished)
    return;
  if (auto open = jobs_.open(); open > 0)
    warn(std::to_string(open) + (open == 1 ? " job goes" : " jobs go")
         + " on at the provider; run the same command again to fetch what they did");
  phase_ = phase::ended;
}

void schedule::cancel() {
  if (is_over())
    return;
  cancelled_ = true;
  if (phase_ != phase::idle)
    begin_stopping();
}

/// Nothing: there is no reason to stop.
void schedule::stop(std::optional<failure> why) {
  if (!why)
    return;
  if (!stopped_by_)
    stopped_by_ = std::move(why);
  begin_stopping();
}

void schedule::begin_stopping() {
  if (phase_ >= phase::stopping)
    return;
  phase_ = phase::stopping;
  live_.withdraw();
}

void schedule::finish() {
  auto stopped = phase_ == phase::stopping;
  cancelled_ = cancelled_ || (setup_.options.cancel_jobs && !stopped);
  phase_ = phase::finishing;
  outcomes_.push(finish_output{!stopped && !cancelled_});
}

batch_progress schedule::progress(time_point now) const {
  auto result = outcomes_.figures().progress(now);
  result.in_flight = std::min<uint64_t>(live_.size(), max_in_flight()); // what is beyond waits to be repeated
  jobs_.describe(result, now);
  return result;
}

batch_report schedule::report(time_point now) const {
  auto result = outcomes_.figures().report(now);
  result.cancelled = cancelled_;
  result.stopped_by = stopped_by_;
  return result;
}

} // namespace modelforge::batch
