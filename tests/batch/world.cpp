#include "tests/batch/world.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace modelforge::test {

namespace {

using namespace std::chrono_literals;

constexpr uint64_t input_size = 1'000'000;

/// More of these in one run, and it does not end.
constexpr uint64_t max_steps = 200'000;

std::vector<std::optional<std::string>> draw_models(const batch_world::plan& plan, std::mt19937_64& random) {
  std::vector<std::optional<std::string>> models(plan.items);
  for (auto& model : models)
    if (std::uniform_real_distribution<>{}(random) >= plan.broken_share)
      model = "model " + std::to_string(random() % plan.models);
  return models;
}

} // namespace

class batch_world::memory_file : public batch::ledger_file {
public:
  explicit memory_file(disk& on) : disk_(on) {}

  bool read(uint64_t offset, std::size_t size, std::string& out) override {
    out = offset < disk_.bytes.size() ? disk_.bytes.substr(offset, size) : std::string{};
    return true;
  }

  bool append(std::string_view bytes) override {
    disk_.bytes += bytes;
    return true;
  }

  bool sync() override {
    if (disk_.fails) {
      errno = EIO;
      return false;
    }
    disk_.synced = disk_.bytes.size();
    return true;
  }

  bool truncate(uint64_t size) override {
    disk_.bytes.resize(size);
    return true;
  }

private:
  disk& disk_;
};

batch_world::batch_world(const plan& x, uint64_t seed)
  : plan_(x), random_(seed), models_(draw_models(x, random_)), oracle_(models_) {
  for (uint64_t i = 0; i < plan_.items; ++i)
    flawed_.push_back(chance(plan_.flawed_share));
  for (std::size_t i = 0; i < plan_.providers; ++i) {
    auto& one = providers_.emplace_back();
    one.name = "provider " + std::to_string(i);
    one.has_jobs = !chance(plan_.no_api_share);
  }
}

void batch_world::at(time_point when, std::function<void()> what, bool outlives) {
  events_.push({when, ++order_of_events_, outlives ? 0 : life_, std::move(what)});
}

/// Finds out whether a provider is down by now.
void batch_world::update(provider& x) {
  constexpr errc ways[] = {errc::authentication, errc::quota_exhausted, errc::rate_limited, errc::overloaded,
                           errc::server_error,   errc::connect_failed,  errc::circuit_open, errc::node_lost};
  while (plan_.outage_share > 0 && x.changes <= now_) {
    x.is_down = !x.is_down;
    x.down_as = ways[below(8)];
    x.cannot_be_reached = chance(0.3);
    auto share = x.is_down ? plan_.outage_share : 1 - plan_.outage_share;
    x.changes = std::max(x.changes, now_ - 1s) + random(std::chrono::duration_cast<duration>(120s * share));
  }
}

// -- runs ---------------------------------------------------------------------------------

void batch_world::run() {
  for (auto whole = false; !whole && check().empty();) {
    if (++seen_.runs > plan_.troubled_runs + 1)
      return oracle_.fail("a run without troubles did not finish the batch");
    begin_run();
    live();
    if (!check().empty())
      return;
    if (crashed_) {
      crash();
      continue;
    }
    whole = finish_ == true && !news_.problem;
    if (!whole)
      ++seen_.stops;
    auto report = subject_->report(now_);
    if (whole)
      oracle_.check_whole(disk_.bytes, report.answered, report.failed);
    if (whole && (report.cancelled || report.stopped_by))
      oracle_.fail("a whole batch is reported as one that was stopped");
    crash(); // what the process leaves behind is the same, and it has synced all
  }
}

batch_options batch_world::draw_options() {
  batch_options x;
  x.max_concurrent = chance(0.2) ? 0 : 1 + static_cast<uint32_t>(below(chance(0.5) ? 4 : 40));
  x.order = chance(0.5) ? batch_order::input : batch_order::arrival;
  x.retry_failed = chance(0.3);
  x.mode = plan_.has_ledger && chance(plan_.job_runs) ? batch_mode::provider : batch_mode::live;
  if (chance(0.2))
    x.mode = batch_mode::automatic;
  x.after_expiry = chance(0.5) ? batch_mode::live : batch_mode::provider;
  x.job_items = plan_.job_items;
  x.busy_pause = random(60s);
  x.keep_going = !troubled() || chance(0.5);
  x.cancel_jobs = plan_.has_ledger && trouble(plan_.cancel_jobs_share);
  if (!troubled()) // else what is told as not run goes round for ever
    x.after_expiry = batch_mode::live;
  return x;
}

void batch_world::begin_run() {
  ++life_;
  options_ = draw_options();
  order_.clear();
  for (std::size_t i = 0; i < plan_.providers; ++i)
    order_.push_back(i);
  std::shuffle(order_.begin(), order_.end(), random_);
  if (order_.size() > 1 && trouble(plan_.missing_share))
    order_.pop_back();
  batch::schedule_setup setup;
  setup.options = options_;
  setup.ledger = plan_.has_ledger ? "out.ledger" : "";
  setup.seed = random_();
  setup.limits = plan_.limits;
  auto weighted = chance(0.3);
  for (std::size_t i = 0; i < order_.size(); ++i)
    setup.providers.push_back({weighted ? 1 + static_cast<double>(below(4)) : 0, chance(0.1) ? 1 : 0.5});
  oracle_.begin({plan_.has_ledger, options_.retry_failed, options_.cancel_jobs, options_.job_items,
                 plan_.limits.max_jobs, order_.size(), options_.keep_going ? 0 : batch::fail_fast::enough - 1},
                disk_.bytes);
  disk_.fails = false;
  subject_ = std::make_unique<batch::schedule>(std::move(setup));
  if (plan_.has_ledger) {
    auto opened = batch::ledger::open(std::make_unique<memory_file>(disk_), "out.ledger", {input_size, 7, "in"});
    if (auto* problem = std::get_if<failure>(&opened))
      return oracle_.fail("the ledger cannot be opened: " + problem->message);
    ledger_ = std::move(std::get<0>(opened));
    subject_->load(*ledger_);
  }
  next_item_ = next_out_ = max_held_ = 0;
  syncing_ = crashed_ = false;
  finish_.reset();
  news_ = {};
  if (ledger_) {
    news_.ok = ledger_->summary().ok;
    news_.failed = ledger_->summary().failed;
  }
  if (trouble(0.05)) { // before it has begun
    subject_->cancel();
    oracle_.on_withdrawn();
  }
  subject_->start(now_);
}

void batch_world::live() {
  auto before = seen_.steps;
  settle();
  while (check().empty() && !crashed_ && !subject_->has_ended()) {
    if (events_.empty())
      return oracle_.fail("nothing will ever happen any more, and the batch has not ended");
    if (seen_.steps - before > max_steps)
      return oracle_.fail("the batch does not end");
    auto x = events_.top();
    events_.pop();
    if (x.life != 0 && x.life != life_)
      continue;
    now_ = std::max(now_, x.at);
    x.what();
    settle();
    if (check().empty() && !crashed_ && trouble(plan_.cancel_share)) {
      subject_->cancel();
      if (!finish_)
        oracle_.on_withdrawn();
      settle();
    }
  }
}

/// Does what is to be done now, until that is nothing or the process is gone.
void batch_world::settle() {
  auto unix_now = 1'700'000'000 + static_cast<uint64_t>(now_.time_since_epoch() / 1s);
  while (check().empty()) {
    auto step = subject_->next(now_, unix_now);
    if (!step)
      break;
    ++seen_.steps;
    std::visit([this](auto& x) { carry_out(x); }, *step);
    max_held_ = std::max(max_held_, bound());
    if (subject_->held_requests() > max_held_ + options_.job_items)
      oracle_.fail("too much is held");
    if (trouble(plan_.crash_share)) {
      crashed_ = true;
      return;
    }
  }
  oracle_.on_quiet(!news_.problem);
  check_progress();
  if (auto wake = subject_->wake_at(now_)) {
    auto when = std::max(*wake, now_ + 1ns);
    if (wake_ups_.insert(when).second)
      at(when, [this, when] { wake_ups_.erase(when); });
  }
}

/// What observers are told must be possible.
void batch_world::check_progress() {
  auto x = subject_->progress(now_);
  if (x.answered + x.failed > plan_.items || x.resumed > x.answered + x.failed)
    oracle_.fail("more items have ended than there are");
  if (x.in_flight > max_held_)
    oracle_.fail("the progress has other items in flight");
  if (x.total && *x.total != plan_.items)
    oracle_.fail("the progress has another number of items");
  for (auto& job : x.jobs)
    if (!job.job.empty() && job.job != "job-" + job.nonce)
      oracle_.fail("a job's status has another's id");
}

/// The process is gone: all of it, and what was not synced, or a part of that.
void batch_world::crash() {
  seen_.crashes += crashed_;
  ledger_.reset();
  subject_.reset();
  flights_.clear();
  runners_.clear();
  receipts_.clear();
  wake_ups_.clear();
  inbox_.clear();
  group_.clear();
  out_of_order_.clear();
  for (auto& x : providers_)
    x.in_flight = 0;
  auto unsynced = disk_.bytes.size() - disk_.synced;
  disk_.bytes.resize(disk_.synced + (chance(0.5) ? 0 : below(unsynced + 1)));
  if (chance(0.2))
    disk_.bytes += std::string(1 + below(100), '\0');
  oracle_.end();
}

/// Items that may be in flight.
uint64_t batch_world::bound() const {
  uint64_t sum = options_.max_concurrent;
  for (auto i : order_)
    sum += std::min(providers_[i].waiting, providers_[i].in_flight)
           + (options_.max_concurrent == 0 ? providers_[i].slots : 0);
  return sum;
}

// -- reading ------------------------------------------------------------------------------

void batch_world::carry_out(const batch::read_item&) {
  oracle_.on_read(flights_.size(), bound(), oracle_.given() - news_.kept, plan_.limits.max_unsafe);
  if (trouble(plan_.input_share)) {
    oracle_.on_withdrawn();
    return subject_->on_input_failure(make_failure(errc::io_failed, "cannot read in"));
  }
  if (!plan_.has_ledger && chance(plan_.wait_share)) {
    later(1s, [this] { subject_->on_input_ready(); });
    return subject_->on_input_wait();
  }
  if (next_item_ == plan_.items)
    return subject_->on_input_end();
  batch::item x;
  x.index = next_item_++;
  x.line = x.index + 1;
  x.custom_id = "id-" + std::to_string(x.index);
  if (models_[x.index]) {
    chat_request request;
    request.model = *models_[x.index];
    request.messages.push_back(text_message(role::user, std::to_string(x.index)));
    x.request = std::move(request);
  } else {
    x.request = make_failure(errc::invalid_request, "the line is not JSON");
  }
  subject_->on_item(std::move(x), 3, now_);
}

void batch_world::carry_out(const batch::rewind_input&) {
  next_item_ = 0;
  if (!plan_.has_ledger)
    oracle_.fail("a pipe is read again");
}

// -- live requests ------------------------------------------------------------------------

void batch_world::carry_out(const batch::ask_statuses&) {
  for (std::size_t i = 0; i < order_.size(); ++i)
    later(100ms, [this, i] {
      auto& x = providers_[provider_of(i)];
      if (trouble(0.02))
        return subject_->on_no_status(i, make_failure(errc::node_lost, "made to fail"));
      provider_status status;
      status.name = x.name;
      status.predicted_wait = chance(0.5) ? 0ns : random(10s);
      status.waiting = x.waiting = chance(0.2) ? below(10) : 0;
      x.slots = 1 + below(8);
      status.lanes.emplace_back().slots = static_cast<uint32_t>(x.slots);
      subject_->on_status(i, status);
    });
}

void batch_world::carry_out(batch::send_item& x) {
  ++seen_.sent;
  auto item = std::stoull(std::get<text_part>(x.request.messages.back().content.front()).text);
  auto provider = provider_of(x.provider);
  oracle_.on_sent(item, provider);
  if (x.request.model != models_[item])
    oracle_.fail("an item is sent for another model");
  if (x.request.fail_when_open != (order_.size() > 1))
    oracle_.fail("an item waits for a provider though there are others, or the other way round");
  if (!flights_.emplace(x.request.id, flight{item, provider}).second)
    oracle_.fail("two requests have one id");
  ++providers_[provider].in_flight;
  later(plan_.slowest_answer, [this, id = x.request.id] { answer(id); });
}

void batch_world::carry_out(const batch::cancel_item& x) {
  auto found = flights_.find(x.id);
  if (found == flights_.end())
    return oracle_.fail("what is not in flight is withdrawn");
  found->second.cancelled = true;
  if (chance(0.8))
    later(1ms, [this, id = x.id] { answer(id); });
}

completion batch_world::answer_to(uint64_t item) {
  completion x;
  x.text = std::to_string(item);
  x.attempts.emplace_back();
  return x;
}

void batch_world::answer(request_id id) {
  auto found = flights_.find(id);
  if (found == flights_.end())
    return; // it was answered when it was withdrawn
  auto item = found->second.item;
  auto provider = found->second.provider;
  auto cancelled = found->second.cancelled;
  flights_.erase(found);
  auto& x = providers_[provider];
  --x.in_flight;
  update(x);
  auto fail = [&](errc code, std::optional<verdict> result) {
    oracle_.on_live_end(item, result);
    subject_->on_failure(id, make_failure(code, "made to fail"), now_);
  };
  if (cancelled && chance(0.7))
    return fail(errc::cancelled, {});
  if (chance(plan_.full_share))
    return fail(errc::queue_full, {});
  if (trouble(plan_.drain_share)) {
    oracle_.on_withdrawn();
    return fail(errc::draining, {});
  }
  if (x.is_down && x.cannot_be_reached && order_.size() > 1) {
    oracle_.on_outage(item, provider);
    auto why = make_failure(chance(0.5) ? errc::circuit_open : errc::connect_failed, "made to fail");
    why.is_outage = true;
    return subject_->on_failure(id, std::move(why), now_);
  }
  if (x.is_down) {
    oracle_.on_provider_failure(item, provider);
    subject_->on_failure(id, make_failure(x.down_as, "made to fail"), now_);
    if (auto why = subject_->report(now_).stopped_by; why && why->code == x.down_as)
      oracle_.on_withdrawn();
    return;
  }
  if (flawed_[item])
    return fail(chance(0.5) ? errc::content_filtered : errc::attempt_timeout, verdict::failed);
  oracle_.on_live_end(item, verdict::ok);
  subject_->on_answer(id, answer_to(item));
}

// -- keeping ------------------------------------------------------------------------------

void batch_world::carry_out(batch::record& x) {
  auto* answer = std::get_if<completion>(&x.outcome);
  oracle_.on_recorded(x.item, x.custom_id, answer != nullptr ? verdict::ok : verdict::failed);
  if (answer != nullptr && answer->text != std::to_string(x.item))
    oracle_.fail("an item gets another's answer");
  inbox_.emplace_back(std::move(x));
  start_sync();
}

void batch_world::carry_out(batch::ledger_event& x) {
  oracle_.on_noted();
  inbox_.emplace_back(std::move(x));
  start_sync();
}

void batch_world::carry_out(const batch::finish_output& x) {
  if (finish_)
    oracle_.fail("the output is finished twice");
  finish_ = x.complete;
  oracle_.on_finish(x.complete);
  start_sync();
}

/// What comes meanwhile shares the next one.
void batch_world::start_sync() {
  if (std::exchange(syncing_, true))
    return;
  group_ = std::exchange(inbox_, {});
  if (trouble(plan_.disk_share))
    disk_.fails = true;
  for (auto& x : group_)
    if (ledger_)
      write(x);
  later(plan_.slowest_sync, [this] { end_sync(); });
}

void batch_world::write(const entry& x) {
  auto* result = std::get_if<batch::record>(&x);
  if (result == nullptr) {
    (void)ledger_->note(std::get<batch::ledger_event>(x)); // a failure stays, and shows with the sync
    return;
  }
  auto ok = result->outcome.index() == 0;
  (void)ledger_->add({result->item, ok, 1, {}, {}, "p", "{\"n\":" + std::to_string(result->item) + '}'});
}

void batch_world::end_sync() {
  syncing_ = false;
  auto had_problem = news_.problem.has_value();
  if (ledger_ && !had_problem)
    news_.problem = ledger_->sync();
  if (!news_.problem) {
    news_.kept += group_.size();
    for (auto& x : group_)
      if (auto* result = std::get_if<batch::record>(&x))
        keep(*result);
  } else if (!had_problem) {
    oracle_.on_withdrawn();
  }
  auto is_news = !group_.empty() && !had_problem;
  group_.clear();
  if (is_news)
    tell_kept(false);
  if (!inbox_.empty())
    return start_sync();
  if (!finish_ || news_.finished)
    return;
  news_.finished = true;
  if (ledger_ && !news_.problem)
    news_.problem = ledger_->seal();
  for (auto& [item, result] : std::exchange(out_of_order_, {}))
    ++(result == verdict::ok ? news_.ok : news_.failed);
  tell_kept(true);
}

void batch_world::keep(const batch::record& x) {
  auto result = x.outcome.index() == 0 ? verdict::ok : verdict::failed;
  oracle_.on_safe(x.item);
  if (ledger_)
    return;
  if (options_.order == batch_order::arrival) {
    ++(result == verdict::ok ? news_.ok : news_.failed);
    return;
  }
  out_of_order_.emplace(x.item, result);
  for (auto i = out_of_order_.begin(); i != out_of_order_.end() && i->first == next_out_; ++next_out_) {
    ++(i->second == verdict::ok ? news_.ok : news_.failed);
    i = out_of_order_.erase(i);
  }
}

void batch_world::tell_kept(bool finished) {
  auto x = news_;
  if (ledger_) {
    x.ok = ledger_->summary().ok;
    x.failed = ledger_->summary().failed;
  }
  x.finished = finished;
  x.kept -= ledger_ ? 0 : out_of_order_.size();
  subject_->on_kept(x);
}

} // namespace modelforge::test
