#include <modelforge/actors/batch_coordinator.hpp>

#include "actors/batch_log.hpp"
#include "actors/support/callers.hpp"
#include "actors/support/mail.hpp"
#include "actors/support/timer.hpp"
#include "batch/schedule.hpp"
#include "batch/session.hpp"
#include "limits/token_estimator.hpp"
#include "wire/openai/format.hpp"

#include <modelforge/actors/system.hpp>

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <algorithm>
#include <map>
#include <random>
#include <utility>

namespace modelforge {

namespace {

using namespace std::chrono_literals;

/// What the coordinator is: a batch, and the listener of its jobs.
using batch_actor =
  caf::typed_actor<caf::result<batch_report>(run_atom), caf::result<void>(cancel_atom),
                   caf::result<void>(observe_atom, batch_observer_actor), caf::result<void>(batch_job_status),
                   caf::result<void>(batch_job_results), caf::result<void>(batch_job_end)>;

/// What the coordinator is made of.
struct batch_setup {
  std::vector<provider_actor> providers;
  batch::session files;
  batch::schedule_setup schedule;
  batch_log log;
};

/// Gives observers news at most so often.
constexpr auto progress_interval = 100ms;

/// Steps in one go; then cancel and progress get their turn.
constexpr int max_steps_at_once = 512;

/// Tokens of an item's prompt; 0 where it is none.
uint32_t estimate(const batch::item& item) {
  auto* request = std::get_if<chat_request>(&item.request);
  auto tokens = request != nullptr ? limits::token_estimator::raw(*request) : 0;
  if (item.vectors)
    tokens += limits::token_estimator::raw(*item.vectors);
  return static_cast<uint32_t>(std::min<uint64_t>(tokens, UINT32_MAX));
}

/// What vectors took, as the batch counts it.
completion account_of(embedding& answer) {
  completion x;
  x.id = answer.id;
  x.usage = answer.usage;
  x.cost = answer.cost;
  x.provider = std::move(answer.provider);
  x.model = std::move(answer.model);
  x.provider_request_id = std::move(answer.provider_request_id);
  x.attempts = std::move(answer.attempts);
  x.timings = answer.timings;
  x.warnings = std::move(answer.warnings);
  return x;
}

uint64_t seconds_since_1970() {
  auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(now).count());
}

/// Carries out what `batch::schedule` decides: asks providers and jobs, reads, has results kept, and wakes up in time.
///
/// Every event (an answer, news of a job, a status, what the recorder has kept, a line of input) goes to the schedule
/// first; then `go_on` carries out its steps until there are none, at most `max_steps_at_once` in a turn, so that a
/// cancel and progress are never kept waiting by a large batch. Nothing is decided here, and nothing of an item is
/// kept: `runners_` and `unconfirmed_` only know whom to tell. It holds itself from `run_atom` to its report, and ends
/// with that. Runs on a thread of its own (detached), because reading the input may block; the input's reader and the
/// recorder, which have threads too, report by `post_if_alive`.
class batch_coordinator_state {
public:
  static inline const char* name = "batch-coordinator";

  batch_coordinator_state(batch_actor::pointer self, const std::shared_ptr<batch_setup>& setup)
    : self_(self), providers_(std::move(setup->providers)), files_(std::move(setup->files)),
      order_(setup->schedule.options.order), log_(std::move(setup->log)), schedule_(std::move(setup->schedule)),
      watched_(self_, [this](const caf::actor_addr& who, const caf::error&) { on_runner_death(who); }) {
    // empty
  }

  batch_actor::behavior_type make_behavior() {
    return {
      [this](run_atom) { return run(); },
      [this](cancel_atom) {
        schedule_.cancel();
        go_on();
      },
      [this](observe_atom, batch_observer_actor who) { observers_.push_back(std::move(who)); },
      [this](batch_job_status& status) {
        schedule_.on_job_status(std::move(status), now());
        go_on();
      },
      [this](batch_job_results& results) { return on_results(results); },
      [this](batch_job_end& end) {
        log_.job_ended(end.nonce, end.problem ? end.problem->message : to_string(end.outcome));
        schedule_.on_job_end(end, now());
        forget_runner(end.nonce);
        go_on();
      },
    };
  }

private:
  batch::time_point now() const { return self_->clock().now(); }

  // -- starting -----------------------------------------------------------------------

  caf::result<batch_report> run() {
    if (keep_)
      return caf::make_error(errc::duplicate_request);
    keep_ = caf::actor_cast<caf::strong_actor_ptr>(self_); // whether or not its asker does
    reply_ = self_->make_response_promise<batch_report>();
    auto reply = reply_;
    auto weak = caf::actor_cast<caf::weak_actor_ptr>(self_);
    files_.input.start([this, weak] {
      post_if_alive(weak, [this] {
        schedule_.on_input_ready();
        go_on();
      });
    });
    for (auto& warning : files_.warnings)
      schedule_.warn(warning);
    if (files_.ledger)
      schedule_.load(*files_.ledger);
    recorder_ = std::make_unique<batch::recorder>(
      std::move(files_.ledger), std::move(files_.sink), order_ == batch_order::arrival,
      [this, weak](const batch::recorder_news& news) { post_if_alive(weak, [this, news] { on_kept(news); }); });
    log_.started(providers_.size());
    schedule_.start(now());
    go_on();
    return reply;
  }

  // -- carrying out -------------------------------------------------------------------

  /// Does all that is to be done now; what is too much for one turn in the next.
  void go_on() {
    if (!recorder_ || is_going_on_)
      return;
    auto unix_now = seconds_since_1970();
    for (int i = 0; i < max_steps_at_once; ++i) {
      auto step = schedule_.next(now(), unix_now);
      if (!step) {
        auto told_later = tell_progress(false);
        return timer_.arm(timer::earlier_of(schedule_.wake_at(now()), told_later));
      }
      std::visit([this](auto& what) { carry_out(what); }, *step);
    }
    tell_progress(false);
    is_going_on_ = true;
    post(self_, [this] {
      is_going_on_ = false;
      go_on();
    });
  }

  void carry_out(const batch::ask_statuses&) {
    for (std::size_t i = 0; i < providers_.size(); ++i)
      ask(self_, providers_[i], status_atom_v)
        .then(
          [this, i](const provider_status& status) {
            schedule_.on_status(i, status);
            go_on();
          },
          [this, i](const caf::error& why) {
            schedule_.on_no_status(i, failure_of(why));
            go_on();
          });
  }

  void carry_out(const batch::read_item&) {
    auto next = files_.input.next();
    if (!next)
      return schedule_.on_input_wait();
    if (auto* problem = std::get_if<failure>(&*next))
      return schedule_.on_input_failure(std::move(*problem));
    auto& item = std::get<std::optional<batch::item>>(*next);
    if (!item)
      return schedule_.on_input_end();
    auto tokens = schedule_.wants(item->index) ? estimate(*item) : 0;
    schedule_.on_item(std::move(*item), tokens, now());
  }

  void carry_out(const batch::rewind_input&) {
    if (auto problem = files_.input.rewind())
      schedule_.on_input_failure(std::move(*problem));
  }

  void carry_out(batch::send_item& next) {
    if (next.vectors)
      return ask_for_vectors(next);
    auto id = next.request.id;
    ask(self_, providers_[next.provider], std::move(next.request))
      .then(
        [this, id](completion& answer) {
          schedule_.on_answer(id, std::move(answer));
          go_on();
        },
        [this, id](const caf::error& why) {
          schedule_.on_failure(id, failure_of(why), now());
          go_on();
        });
  }

  void ask_for_vectors(const batch::send_item& next) {
    auto id = next.request.id;
    ask(self_, providers_[next.provider], batch::as_embedding(next))
      .then(
        [this, id](embedding& answer) {
          auto body = wire::openai::write_vectors(answer);
          schedule_.on_answer(id, account_of(answer), std::move(body));
          go_on();
        },
        [this, id](const caf::error& why) {
          schedule_.on_failure(id, failure_of(why), now());
          go_on();
        });
  }

  void carry_out(const batch::cancel_item& next) { tell(self_, providers_[next.provider], cancel_atom_v, next.id); }

  void carry_out(batch::record& result) { recorder_->add(std::move(result)); }

  void carry_out(batch::ledger_event& event) { recorder_->note(std::move(event)); }

  void carry_out(const batch::finish_output& last) { recorder_->finish(last.complete); }

  // -- jobs ---------------------------------------------------------------------------

  void carry_out(batch::ask_for_job& next) {
    auto nonce = next.request.nonce;
    runners_[nonce] = {}; // until the job is over
    log_.job_started(next.request);
    ask(self_, providers_[next.provider], std::move(next.request), caf::actor_cast<batch_job_listener_actor>(self_))
      .then(
        [this, nonce](const batch_job_actor& runner) {
          if (auto found = runners_.find(nonce); found != runners_.end())
            found->second = {runner, watched_.add(caf::actor_cast<caf::strong_actor_ptr>(runner))};
        },
        [this, nonce](const caf::error& why) {
          runners_.erase(nonce);
          log_.job_ended(nonce, failure_of(why).message);
          schedule_.on_no_job(nonce, failure_of(why), now());
          go_on();
        });
  }

  /// Answers when the results are safe.
  caf::result<void> on_results(batch_job_results& results) {
    auto receipt = schedule_.on_job_results(std::move(results));
    if (!receipt)
      return caf::make_error(errc::cancelled);
    auto promise = self_->make_response_promise<void>();
    unconfirmed_.emplace(*receipt, promise);
    go_on();
    return promise;
  }

  void carry_out(const batch::confirm_results& next) { unconfirmed_.extract(next.receipt).mapped().deliver(); }

  void on_runner_death(const caf::actor_addr& who) {
    auto found = std::find_if(runners_.begin(), runners_.end(), [&](auto& x) { return x.second.watched == who; });
    if (found == runners_.end())
      return;
    auto nonce = found->first;
    runners_.erase(found);
    log_.job_ended(nonce, "what saw to it here has ended");
    schedule_.on_job_lost(nonce, now());
    go_on();
  }

  void forget_runner(const std::string& nonce) {
    if (auto gone = runners_.extract(nonce); gone && gone.mapped().watched)
      watched_.remove(gone.mapped().watched);
  }

  // -- ending -------------------------------------------------------------------------

  void on_kept(const batch::recorder_news& news) {
    schedule_.on_kept(news);
    if (schedule_.has_ended())
      return end();
    go_on();
  }

  void end() {
    files_.input.close();
    tell_progress(true);
    recorder_.reset(); // whoever gets the report may open the ledger
    auto report = schedule_.report(now());
    log_.ended(report);
    reply_.deliver(std::move(report));
    keep_ = nullptr;
    self_->quit();
  }

  /// Tells observers how far the batch is. Returns when to come back for that, where they have just been told: the last
  /// change before a long wait is news for all of it.
  std::optional<batch::time_point> tell_progress(bool last) {
    auto time = now();
    if (observers_.empty())
      return {};
    if (!last && time - told_ < progress_interval)
      return told_ + progress_interval;
    told_ = time;
    auto progress = schedule_.progress(time);
    progress.finished = last;
    for (auto& observer : observers_)
      tell(self_, observer, progress);
    return {};
  }

  /// The actor that sees to a job.
  struct job_runner {
    batch_job_actor actor;
    caf::actor_addr watched; ///< The same.
  };

  batch_actor::pointer self_;
  caf::strong_actor_ptr keep_; ///< Itself, while it runs.
  std::vector<provider_actor> providers_;
  batch::session files_;
  batch_order order_;
  batch_log log_;
  batch::schedule schedule_;
  std::unique_ptr<batch::recorder> recorder_;                         ///< From the start to the end.
  std::map<std::string, job_runner> runners_;                         ///< By their jobs' nonces.
  std::map<uint64_t, caf::typed_response_promise<void>> unconfirmed_; ///< Results that are not safe, by receipt.
  callers<batch_actor::base> watched_;                                ///< The runners.
  std::vector<batch_observer_actor> observers_;
  batch::time_point told_{};
  caf::typed_response_promise<batch_report> reply_;
  timer timer_{self_, [this] { go_on(); }};
  bool is_going_on_ = false; ///< A turn for more steps is under way.
};

} // namespace

std::string ledger_path(const std::string& output) {
  return batch::ledger_path(output);
}

std::variant<batch_coordinator_actor, failure> spawn_batch(caf::actor_system& system,
                                                           std::vector<batch_provider> providers,
                                                           const batch_options& options, log_handle log) {
  auto opened = batch::open_session(options);
  if (auto* problem = std::get_if<failure>(&opened))
    return std::move(*problem);
  auto files = std::get_if<batch::session>(&opened);
  auto ledger = files->ledger ? ledger_path(options.output) : std::string{};
  batch_log told{std::move(log), options};
  batch::schedule_setup schedule{options, {}, std::move(ledger), std::random_device{}()};
  std::vector<provider_actor> actors;
  for (auto& provider : providers) {
    schedule.providers.push_back({provider.weight, provider.job_price});
    actors.push_back(std::move(provider.actor));
  }
  return system.spawn<batch_actor::stateful_impl<batch_coordinator_state>, caf::detached>(std::make_shared<batch_setup>(
    batch_setup{std::move(actors), std::move(*files), std::move(schedule), std::move(told)}));
}

std::variant<batch_coordinator_actor, failure> spawn_batch(caf::actor_system& system, provider_actor provider,
                                                           const batch_options& options) {
  return spawn_batch(system, std::vector<batch_provider>{{std::move(provider)}}, options);
}

} // namespace modelforge
