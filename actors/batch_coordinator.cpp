#include <modelforge/actors/batch_coordinator.hpp>

#include "actors/support/callers.hpp"
#include "actors/support/mail.hpp"
#include "batch/feed.hpp"
#include "batch/item_ranges.hpp"
#include "batch/ledger.hpp"
#include "batch/reader.hpp"
#include "batch/recorder.hpp"
#include "batch/spread.hpp"
#include "batch/tally.hpp"
#include "limits/token_estimator.hpp"

#include <modelforge/actors/system.hpp>

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <random>
#include <sys/stat.h>
#include <unordered_map>
#include <utility>

namespace modelforge {

namespace {

using namespace std::chrono_literals;
using result = std::variant<completion, failure>;
using clock_type = caf::actor_clock;

/// What the coordinator is: a batch, and the listener of its jobs.
using batch_actor =
  caf::typed_actor<caf::result<batch_report>(run_atom), caf::result<void>(cancel_atom),
                   caf::result<void>(observe_atom, batch_observer_actor), caf::result<void>(batch_job_status),
                   caf::result<void>(batch_job_results), caf::result<void>(batch_job_end)>;

struct batch_parts {
  std::vector<batch_provider> providers;
  batch_options options;
  std::unique_ptr<batch::source> source; ///< Null for an input that may keep its reader waiting: a feed reads it.
  std::unique_ptr<batch::sink> sink;
  std::unique_ptr<batch::ledger> ledger; ///< Null where input or output is no file.
  std::vector<std::string> warnings;

  /// Tells one state of a file from another.
  struct file_state {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    time_t seconds = 0;
    long nanoseconds = 0;

    friend bool operator==(const file_state&, const file_state&) = default;
  };

  static file_state state_of(const std::string& path) {
    struct stat x {};
    if (stat(path.c_str(), &x) != 0)
      return {};
    return {x.st_dev, x.st_ino, x.st_size, x.st_mtim.tv_sec, x.st_mtim.tv_nsec};
  }

  file_state input_state; ///< Before it was read.
};

/// How long to wait before an item is offered again to a provider whose queue others keep full.
constexpr auto full_queue_pause = 50ms;

/// Gives observers news at most so often.
constexpr auto progress_interval = 100ms;

/// How often providers are asked how much they can use.
constexpr auto status_interval = 1s;

/// How long a provider gets nothing new that failed in a way that lasts, while there are others.
constexpr auto out_time = 30s;

/// Before a provider is offered a job again whose queue was full; doubled each time.
constexpr std::chrono::nanoseconds first_busy_pause = 30s;
constexpr std::chrono::nanoseconds last_busy_pause = 10min;

/// Items started in one go; then cancel and progress get their turn.
constexpr int most_at_once = 256;

/// Results that are not safe yet; then nothing more is sent.
constexpr uint64_t most_unsafe = 1'000;

/// Of items in flight at a provider that wait to be repeated, so many do not count.
constexpr uint64_t most_waiting = 1'000;

/// Jobs of providers at a time, and the text of one's requests in memory. A provider takes more (100 MB and up), but
/// JSON may need six bytes for one of ours.
constexpr std::size_t most_jobs = 10;
constexpr std::size_t most_job_bytes = 16u << 20;

/// What a provider promises for a job, where nothing goes wrong.
constexpr auto job_window = 24h;

/// Whether another provider may do better with what this one failed at. What may have been carried out is not sent
/// again.
bool is_the_providers_fault(errc x) {
  switch (x) {
    case errc::authentication:
    case errc::permission:
    case errc::quota_exhausted:
    case errc::rate_limited:
    case errc::overloaded:
    case errc::server_error:
    case errc::resolve_failed:
    case errc::connect_failed:
    case errc::tls_failed:
    case errc::circuit_open:
    case errc::node_lost:
      return true;
    default:
      return false;
  }
}

std::size_t text_bytes(const chat_request& x) {
  std::size_t sum = 512;
  for (auto& message : x.messages)
    for (auto& part : message.content)
      if (auto* text = std::get_if<text_part>(&part))
        sum += text->text.size();
      else if (auto* image = std::get_if<image_part>(&part))
        sum += image->data.size() / 6 + image->url.size();
  return sum;
}

/// Tokens of an item's prompt; 0 where it is none.
uint32_t estimate(const std::variant<chat_request, failure>& x) {
  auto* request = std::get_if<chat_request>(&x);
  auto tokens = request != nullptr ? limits::token_estimator::raw(*request) : 0;
  return static_cast<uint32_t>(std::min<uint64_t>(tokens, UINT32_MAX));
}

uint64_t seconds_since_1970() {
  auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(now).count());
}

/// Keeps a window of items in flight and has what comes back recorded.
///
/// The input is read in passes: in the first one every item that has no result is sent, live or in a job; what a job
/// did not come to is sent in the next one. Where an earlier run left jobs behind, a pass before all others only looks
/// for the items of these. So nothing of an item is held but while it is in flight.
class batch_coordinator_state {
public:
  static inline const char* name = "batch-coordinator";

  batch_coordinator_state(batch_actor::pointer self, std::shared_ptr<batch_parts> parts)
    : self_(self), parts_(std::move(parts)), lanes_(parts_->providers.size()), tally_(lanes_.size()),
      random_(std::random_device{}()),
      watched_(self, [this](const caf::actor_addr& who, const caf::error&) { on_job_death(who); }) {
    if (parts_->options.mode == batch_mode::automatic)
      for (std::size_t i = 0; i < lanes_.size(); ++i)
        lanes_[i].has_no_jobs = parts_->providers[i].job_price >= 1;
  }

  batch_actor::behavior_type make_behavior() {
    return {
      [this](run_atom) { return run(); },
      [this](cancel_atom) { cancel(); },
      [this](observe_atom, batch_observer_actor who) { observers_.push_back(std::move(who)); },
      [this](batch_job_status& x) { take_status(std::move(x)); },
      [this](batch_job_results& x) { return take_results(x); },
      [this](batch_job_end& x) { take_end(x); },
    };
  }

private:
  struct lane {
    std::string name;
    uint64_t in_flight = 0;
    uint64_t slots = 1;
    uint64_t waiting = 0; ///< Retries that wait for their time, ours and others'.
    std::chrono::nanoseconds predicted_wait{0};
    clock_type::time_point out_until{};
    bool has_no_jobs = false;            ///< It has no batch API, or that refused or saves nothing.
    clock_type::time_point not_before{}; ///< Of its next job: its queue is full.
    std::size_t most_items = SIZE_MAX;   ///< Of a job, as far as its queue has shown.
    std::chrono::nanoseconds busy_pause{0};
  };

  struct sent_item {
    uint64_t index;
    std::string custom_id;
    chat_request request; ///< Kept, because a full queue or a failing provider gives it back.
    std::size_t to;
    std::vector<bool> tried;             ///< Providers that failed at it.
    uint32_t estimated;                  ///< Tokens of its prompt.
    std::vector<attempt_record> earlier; ///< What was tried at these.
  };

  struct job_item {
    std::string custom_id;
    uint32_t estimated; ///< Tokens of its prompt.
  };

  struct job {
    batch::ledger_job entry;
    std::size_t at = 0;
    std::map<uint64_t, job_item> items; ///< Those that have no result yet.
    std::vector<uint64_t> not_run;      ///< Those that the provider says it did not come to: they have a line, too.
    batch_job_status status;
    std::optional<clock_type::time_point> next_look;
    batch_job_actor runner;
    caf::actor_addr watched; ///< The same.
  };

  /// What will be a job.
  struct job_part {
    std::size_t to = 0;
    std::size_t bytes = 0;
    std::vector<batch_job_item> requests;
    std::map<uint64_t, job_item> items;
  };

  // -- starting -----------------------------------------------------------------

  caf::result<batch_report> run() {
    if (started_)
      return caf::make_error(errc::duplicate_request);
    started_ = true;
    keep_ = caf::actor_cast<caf::strong_actor_ptr>(self_); // whether or not its asker does
    begin_ = self_->clock().now();
    report_.warnings = parts_->warnings;
    reply_ = self_->make_response_promise<batch_report>();
    auto reply = reply_;
    auto weak = caf::actor_cast<caf::weak_actor_ptr>(self_);
    if (!parts_->source)
      feed_ =
        std::make_unique<batch::feed>(parts_->options.input, [this, weak] { post_if_alive(weak, [this] { fill(); }); });
    take_over();
    recorder_ = std::make_unique<batch::recorder>(
      std::move(parts_->ledger), std::move(parts_->sink), parts_->options.order == batch_order::arrival,
      [this, weak](const batch::recorder_news& x) { post_if_alive(weak, [this, x] { take_news(x); }); });
    ask_statuses([this] {
      name_jobs();
      fill();
    });
    return reply;
  }

  /// Learns from the ledger what is done and what goes on.
  void take_over() {
    if (!parts_->ledger)
      return;
    auto& ledger = *parts_->ledger;
    auto& known = ledger.summary();
    report_.ledger = ledger_path(parts_->options.output);
    total_ = known.total;
    ended_jobs_ = known.ids_of_ended_jobs;
    for (uint64_t i = 0; i < ledger.known(); ++i)
      if (auto is = ledger.of(i);
          is == batch::ledger::state::ok || (is == batch::ledger::state::failed && !parts_->options.retry_failed))
        set_taken(i, true);
    report_.resumed = static_cast<uint64_t>(std::count(taken_.begin(), taken_.end(), true));
    report_.answered = known.ok;
    report_.failed = report_.resumed - known.ok;
    if (parts_->options.retry_failed) {
      retried_ = known.failed;
      for (uint64_t i = 0; i < ledger.known(); ++i)
        retrying_.push_back(ledger.of(i) == batch::ledger::state::failed);
    }
    done_ = taken_;
    for (auto& [nonce, entry] : known.jobs) {
      auto& known_job = jobs_[nonce];
      known_job.entry = entry;
      for (auto [first, last] : entry.items) {
        in_jobs_.add(first, last, &known_job);
        for (auto i = first; i <= last; ++i) {
          set_taken(i, true);
          if (ledger.of(i) == batch::ledger::state::failed)
            retry(i);
        }
      }
    }
    recovering_ = !jobs_.empty();
    at_end_ = jobs_.empty() && parts_->options.cancel_jobs; // nothing is to be done
  }

  /// A job of an earlier run tries an item again that had failed: its answer is wanted, whatever is asked for now.
  void retry(uint64_t index) {
    if (index >= retrying_.size())
      retrying_.resize(index + 1);
    if (retrying_[index])
      return;
    retrying_[index] = true;
    done_[index] = false;
    ++retried_;
    --report_.resumed;
    --report_.failed;
  }

  /// Asks every provider how it is; `then` when all have answered.
  void ask_statuses(std::function<void()> then) {
    auto left = std::make_shared<std::size_t>(lanes_.size());
    auto one_less = [left, then = std::move(then)] {
      if (--*left == 0)
        then();
    };
    for (std::size_t i = 0; i < lanes_.size(); ++i)
      ask(self_, parts_->providers[i].actor, status_atom_v)
        .then(
          [this, i, one_less](const provider_status& x) {
            learn(lanes_[i], x);
            tally_.name(i, x.name);
            one_less();
          },
          [one_less](const caf::error&) { one_less(); });
  }

  static void learn(lane& to, const provider_status& x) {
    to.name = x.name;
    to.predicted_wait = x.predicted_wait;
    to.waiting = x.waiting;
    uint64_t slots = 0;
    for (auto& one : x.lanes)
      slots += one.out ? 0 : one.slots;
    to.slots = std::max<uint64_t>(1, slots);
  }

  /// Asks again from time to time.
  void keep_statuses_fresh() {
    auto now = self_->clock().now();
    if (asking_ || now - asked_ < status_interval)
      return;
    asking_ = true;
    asked_ = now;
    ask_statuses([this] {
      asking_ = false;
      fill();
    });
  }

  /// Finds the providers of jobs that an earlier run began.
  void name_jobs() {
    for (auto& [nonce, x] : jobs_) {
      auto at = std::find_if(lanes_.begin(), lanes_.end(), [&](auto& y) { return y.name == x.entry.provider; });
      if (at == lanes_.end())
        return stop(make_failure(errc::configuration,
                                 "the batch has a job at the provider " + x.entry.provider
                                   + ", which is not among its providers now",
                                 "run it with that provider, or start over with --fresh"));
      x.at = static_cast<std::size_t>(at - lanes_.begin());
    }
  }

  // -- reading and sending --------------------------------------------------------

  /// Fills the window from the input, and ends the batch when nothing is left.
  void fill() {
    if (ended_ || !started_)
      return;
    keep_statuses_fresh();
    if (!stopped())
      start_full_parts();
    for (int i = 0; may_read(); ++i) {
      if (i == most_at_once) {
        post(self_, [this] { fill(); });
        break;
      }
      if (!take_next())
        break;
    }
    if (at_end_ && !stopped())
      end_pass();
    tell_progress(false);
    if (sent_.empty() && after_.empty() && (stopped() || all_done()))
      finish();
  }

  bool may_read() const {
    if (stopped() || at_end_ || pausing_ || unsafe() >= most_unsafe)
      return false;
    return recovering_ || (has_room() && !jobs_are_full());
  }

  uint64_t unsafe() const { return given_ - kept_; }

  /// Items that may be in flight.
  uint64_t most_in_flight() const {
    uint64_t most = parts_->options.max_concurrent;
    if (most == 0)
      for (auto& x : lanes_)
        most += x.slots;
    return most;
  }

  bool has_room() const {
    auto most = most_in_flight();
    // What waits to be repeated is not in flight, and when there is much of it, it must not keep the rest back.
    for (auto& x : lanes_)
      most += std::min({x.waiting, x.in_flight, most_waiting});
    return sent_.size() < most;
  }

  /// Where a queue has shown that it is small, one job at a time.
  bool may_start_job(const lane& x) const {
    auto is_there = [&](auto& y) { return &lanes_[y.second.at] == &x; };
    return jobs_.size() < most_jobs && self_->clock().now() >= x.not_before
           && (x.most_items == SIZE_MAX || std::none_of(jobs_.begin(), jobs_.end(), is_there));
  }

  bool is_full(const job_part& x) const {
    return x.items.size() >= std::min(parts_->options.job_items, lanes_[x.to].most_items) || x.bytes >= most_job_bytes;
  }

  /// Whether what was read for jobs waits for one to end: then no more is read.
  bool jobs_are_full() const {
    return part_items_ >= parts_->options.job_items
           || std::any_of(parts_being_made_.begin(), parts_being_made_.end(),
                          [&](auto& x) { return is_full(x.second) && !may_start_job(lanes_[x.second.to]); });
  }

  /// Whether another job might be begun now for what is read again.
  bool may_begin_any() const {
    return std::any_of(lanes_.begin(), lanes_.end(),
                       [&](auto& x) { return x.has_no_jobs || self_->clock().now() >= x.not_before; });
  }

  /// Takes the next item. False: the input has none now.
  bool take_next() {
    auto next = feed_ ? feed_->try_next() : std::optional{parts_->source->next()};
    if (!next)
      return false;
    if (auto* problem = std::get_if<failure>(&*next)) {
      stop(std::move(*problem));
      return false;
    }
    auto& item = std::get<std::optional<batch::item>>(*next);
    if (!item) {
      at_end_ = true;
      return false;
    }
    items_ = std::max(items_, item->index + 1);
    if (recovering_)
      recover(*item);
    else if (!is_taken(item->index))
      start(*item);
    return true;
  }

  void start(batch::item& x) {
    set_taken(x.index, true);
    if (auto* problem = std::get_if<failure>(&x.request))
      return record(x.index, std::move(x.custom_id), std::move(*problem), {});
    auto& request = std::get<chat_request>(x.request);
    if (request.model.empty())
      request.model = parts_->options.model;
    auto estimated = estimate(x.request);
    if (wants_job(x.index) && add_to_part(x.index, x.custom_id, request, estimated))
      return;
    request.id = make_request_id(random_);
    request.priority = priority::batch;
    if (!request.deadline)
      request.deadline = parts_->options.deadline;
    sent_item item{x.index, std::move(x.custom_id), std::move(request), 0, std::vector<bool>(lanes_.size()), estimated,
                   {}};
    item.to = choose(item.tried).value_or(0);
    auto id = item.request.id;
    sent_.emplace(id, std::move(item));
    send(id);
  }

  std::optional<std::size_t> choose(const std::vector<bool>& without, bool for_job = false) {
    if (lanes_.size() == 1)
      return without[0] || (for_job && lanes_[0].has_no_jobs) ? std::nullopt : std::optional<std::size_t>{0};
    auto now = self_->clock().now();
    std::vector<batch::provider_load> loads;
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      auto& x = lanes_[i];
      auto out = without[i] || (for_job ? x.has_no_jobs || x.not_before > now : x.out_until > now);
      loads.push_back({parts_->providers[i].weight, x.in_flight, x.slots, x.predicted_wait, out, false});
    }
    if (auto chosen = spread_.pick(loads))
      return chosen;
    for (std::size_t i = 0; i < lanes_.size(); ++i) // all have failed lately: better one of these than none
      loads[i].out = without[i] || (for_job && lanes_[i].has_no_jobs);
    return spread_.pick(loads);
  }

  void send(request_id id) {
    auto& x = sent_.at(id);
    ++lanes_[x.to].in_flight;
    ask(self_, parts_->providers[x.to].actor, x.request)
      .then([this, id](completion& answer) { end_item(id, std::move(answer)); },
            [this, id](const caf::error& why) { on_error(id, failure_of(why)); });
  }

  void on_error(request_id id, failure why) {
    auto& x = sent_.at(id);
    if (stopped() && (why.code == errc::cancelled || why.code == errc::queue_full))
      return give_back(id);
    if (why.code == errc::queue_full)
      return hold_back(id);
    if (why.code == errc::draining) { // nobody is left to ask: the rest of the input stays unasked, not failed
      stop(std::move(why));
      return give_back(id);
    }
    if (is_the_providers_fault(why.code) && !stopped()) {
      if (why.code != errc::rate_limited && why.code != errc::server_error)
        lanes_[x.to].out_until = self_->clock().now() + out_time;
      x.tried[x.to] = true;
      if (auto other = choose(x.tried)) {
        --lanes_[x.to].in_flight;
        x.earlier.insert(x.earlier.end(), why.attempts.begin(), why.attempts.end());
        x.to = *other;
        x.request.id = {};
        auto again = sent_.extract(id);
        again.key() = again.mapped().request.id = make_request_id(random_);
        auto fresh = again.key();
        sent_.insert(std::move(again));
        return send(fresh);
      }
    }
    end_item(id, std::move(why));
  }

  void end_item(request_id id, result outcome) {
    auto item = take_back(id);
    auto& attempts = std::visit(
      [](auto& x) -> auto& { return x.attempts; }, outcome);
    attempts.insert(attempts.begin(), item.earlier.begin(), item.earlier.end());
    record(item.index, std::move(item.custom_id), std::move(outcome), item.to, item.estimated);
    fill();
  }

  /// The item has no result, and gets none in this run.
  void give_back(request_id id) {
    set_taken(take_back(id).index, false);
    fill();
  }

  sent_item take_back(request_id id) {
    auto item = std::move(sent_.extract(id).mapped());
    --lanes_[item.to].in_flight;
    return item;
  }

  /// Back-pressure is no failure: the item waits here, and nothing new is read, until the provider has room.
  void hold_back(request_id id) {
    --lanes_[sent_.at(id).to].in_flight;
    held_.push_back(id);
    if (pausing_)
      return;
    pausing_ = true;
    self_->run_delayed(full_queue_pause, [this] {
      pausing_ = false;
      for (auto x : std::exchange(held_, {}))
        if (!stopped()) {
          send(x);
        } else {
          ++lanes_[sent_.at(x).to].in_flight;
          give_back(x);
        }
      fill();
    });
  }

  // -- passes -----------------------------------------------------------------------

  bool is_taken(uint64_t index) const { return index < taken_.size() && taken_[index]; }

  void set_taken(uint64_t index, bool is) {
    if (index >= taken_.size())
      taken_.resize(index + 1);
    taken_[index] = is;
  }

  void end_pass() {
    if (recovering_)
      return end_recovery();
    if (parts_->options.cancel_jobs)
      return;
    if (total_ != items_) {
      total_ = items_;
      note([n = items_](batch::ledger& to) { return to.note_total(n); });
    }
    for (auto at = parts_being_made_.begin(); at != parts_being_made_.end();)
      if (auto next = std::next(at); may_start_job(lanes_[at->second.to])) {
        start_job(at);
        at = next;
      } else {
        at = next;
      }
    if (again_ && parts_being_made_.empty() && may_begin_any()) {
      again_ = false;
      read_again();
    }
  }

  bool all_done() const { return at_end_ && !recovering_ && !again_ && jobs_.empty() && parts_being_made_.empty(); }

  void read_again() {
    if (batch_parts::state_of(parts_->options.input) != parts_->input_state)
      return stop(make_failure(errc::io_failed, "the input " + parts_->options.input + " changed while the batch ran",
                               "run it with the input as it was, or start over with --fresh"));
    auto source = batch::open_source(parts_->options.input);
    if (auto* problem = std::get_if<failure>(&source))
      return stop(std::move(*problem));
    parts_->source = std::move(std::get<0>(source));
    for (auto index : std::exchange(given_back_, {}))
      set_taken(index, false);
    at_end_ = false;
    post(self_, [this] { fill(); });
  }

  // -- jobs -------------------------------------------------------------------------

  bool is_done(uint64_t index) const { return index < done_.size() && done_[index]; }

  /// Remembers the id of an item that an earlier run put into a job.
  void recover(const batch::item& x) {
    if (!is_taken(x.index) || is_done(x.index))
      return;
    in_jobs_.each_owner(x.index, [&](job* y) {
      y->items.emplace(x.index, job_item{x.custom_id, estimate(x.request)});
    });
  }

  void end_recovery() {
    recovering_ = false;
    in_jobs_.clear();
    std::vector<std::string> nonces;
    for (auto& [nonce, x] : jobs_)
      nonces.push_back(nonce);
    for (auto& nonce : nonces) {
      auto& x = jobs_.at(nonce);
      batch_job_request request;
      request.nonce = nonce;
      request.start = x.entry.id.empty() ? batch_job_start::find : batch_job_start::attach;
      request.model = x.entry.model;
      request.job = x.entry.id;
      request.not_before = x.entry.at;
      request.others = jobs_but(nonce);
      request.cancel = parts_->options.cancel_jobs;
      ask_for_job(nonce, std::move(request));
    }
    if (!parts_->options.cancel_jobs)
      read_again();
  }

  /// Ids of all that is known not to be this job.
  std::vector<std::string> jobs_but(const std::string& nonce) const {
    auto ids = ended_jobs_;
    for (auto& [other, x] : jobs_)
      if (other != nonce && !x.entry.id.empty())
        ids.push_back(x.entry.id);
    return ids;
  }

  bool wants_job(uint64_t index) const {
    if (!uses_jobs() || (index < to_live_.size() && to_live_[index]))
      return false;
    return std::any_of(lanes_.begin(), lanes_.end(), [](auto& x) { return !x.has_no_jobs; });
  }

  bool uses_jobs() const {
    auto& options = parts_->options;
    if (options.mode == batch_mode::automatic)
      return !report_.ledger.empty() && (!options.finish_within || *options.finish_within >= job_window);
    return options.mode == batch_mode::provider;
  }

  bool add_to_part(uint64_t index, const std::string& custom_id, chat_request& request, uint32_t estimated) {
    auto [at, added] = parts_being_made_.try_emplace(request.model);
    auto& part = at->second;
    if (added) {
      auto to = choose(std::vector<bool>(lanes_.size()), true);
      if (!to) {
        parts_being_made_.erase(at);
        return false;
      }
      part.to = *to;
    }
    part.bytes += text_bytes(request);
    part.items.emplace(index, job_item{custom_id, estimated});
    part.requests.push_back({index, std::move(request)});
    ++part_items_;
    auto& to = lanes_[part.to];
    if (is_full(part)) {
      if (may_start_job(to)) // else it waits in `end_pass` and `fill`, and nothing more is read
        start_job(at);
    } else if (part_items_ >= parts_->options.job_items) { // many models: the largest part goes
      auto largest = std::max_element(parts_being_made_.begin(), parts_being_made_.end(),
                                      [](auto& x, auto& y) { return x.second.items.size() < y.second.items.size(); });
      if (may_start_job(lanes_[largest->second.to]))
        start_job(largest);
    }
    return true;
  }

  /// Starts parts that had to wait.
  void start_full_parts() {
    for (auto at = parts_being_made_.begin(); at != parts_being_made_.end();) {
      auto next = std::next(at);
      auto& to = lanes_[at->second.to];
      if ((is_full(at->second) || part_items_ >= parts_->options.job_items) && may_start_job(to))
        start_job(at);
      at = next;
    }
  }

  using part_iterator = std::map<std::string, job_part>::iterator;

  /// Has an intent recorded, and when that is safe asks the provider to create the job.
  void start_job(part_iterator at) {
    auto part = std::move(at->second);
    parts_being_made_.erase(at);
    part_items_ -= part.items.size();
    auto nonce = make_nonce();
    auto& x = jobs_[nonce];
    x.at = part.to;
    x.items = std::move(part.items);
    x.entry.nonce = nonce;
    x.entry.provider = lanes_[part.to].name;
    x.entry.model = part.requests.front().request.model;
    x.entry.at = seconds_since_1970();
    for (auto& [index, item] : x.items)
      if (auto& ranges = x.entry.items; !ranges.empty() && ranges.back().second + 1 == index)
        ++ranges.back().second;
      else
        ranges.emplace_back(index, index);
    note([entry = x.entry](batch::ledger& to) { return to.intend(entry); });
    batch_job_request request;
    request.nonce = nonce;
    request.model = x.entry.model;
    request.not_before = x.entry.at;
    request.others = jobs_but(nonce);
    request.items = std::move(part.requests);
    when_safe([this, nonce, request = std::move(request)]() mutable {
      if (!stopped())
        return ask_for_job(nonce, std::move(request));
      note([nonce](batch::ledger& to) { return to.end_job(nonce, "not sent"); });
      let_go(nonce, false);
    });
  }

  std::string make_nonce() {
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(random_()));
    return text;
  }

  void ask_for_job(const std::string& nonce, batch_job_request request) {
    auto& x = jobs_.at(nonce);
    x.status.nonce = nonce;
    ask(self_, parts_->providers[x.at].actor, std::move(request), caf::actor_cast<batch_job_listener_actor>(self_))
      .then(
        [this, nonce](const batch_job_actor& runner) {
          auto i = jobs_.find(nonce);
          if (i == jobs_.end())
            return;
          i->second.runner = runner;
          i->second.watched = watched_.add(caf::actor_cast<caf::strong_actor_ptr>(runner));
        },
        [this, nonce](const caf::error& why) {
          batch_job_end end;
          end.nonce = nonce;
          end.problem = failure_of(why);
          auto none = end.problem->code == errc::unsupported && jobs_.count(nonce) == 1
                      && jobs_.at(nonce).status.job.empty() && jobs_.at(nonce).entry.id.empty();
          end.outcome = none ? batch_job_outcome::refused : batch_job_outcome::undecided;
          take_end(end);
        });
  }

  void on_job_death(const caf::actor_addr& who) {
    auto i = std::find_if(jobs_.begin(), jobs_.end(), [&](auto& x) { return x.second.watched == who; });
    if (i == jobs_.end())
      return;
    batch_job_end end;
    end.nonce = i->first;
    end.outcome = batch_job_outcome::undecided;
    end.problem = make_failure(errc::node_lost, "the provider's actor that saw to a job is gone",
                               "run the same command again: the job goes on");
    take_end(end);
  }

  void take_status(batch_job_status x) {
    auto i = jobs_.find(x.nonce);
    if (i == jobs_.end())
      return;
    learn_id(i->second, x.job);
    i->second.next_look.reset();
    if (x.next_look)
      i->second.next_look = self_->clock().now() + *x.next_look;
    i->second.status = std::move(x);
    tell_progress(false);
  }

  void learn_id(job& x, const std::string& id) {
    if (id.empty() || !x.entry.id.empty())
      return;
    x.entry.id = id;
    note([nonce = x.entry.nonce, id](batch::ledger& to) { return to.name_job(nonce, id); });
  }

  caf::result<void> take_results(batch_job_results& x) {
    auto i = jobs_.find(x.nonce);
    if (i == jobs_.end() || unwritable_)
      return caf::make_error(errc::cancelled);
    auto& items = i->second.items;
    for (auto& one : x.results) {
      auto* why = std::get_if<failure>(&one.outcome);
      auto left = why != nullptr && !one.run && (why->code == errc::deadline_exceeded || why->code == errc::cancelled);
      auto item = items.find(one.number);
      if (item == items.end())
        continue;
      if (left) {
        i->second.not_run.push_back(one.number);
        items.erase(item);
        continue;
      }
      record(one.number, std::move(item->second.custom_id), std::move(one.outcome), i->second.at,
             item->second.estimated, true);
      items.erase(item);
    }
    auto promise = self_->make_response_promise<void>();
    when_safe([promise]() mutable { promise.deliver(); });
    return promise;
  }

  void take_end(const batch_job_end& x) {
    auto i = jobs_.find(x.nonce);
    if (i == jobs_.end())
      return;
    learn_id(i->second, x.job);
    auto& at = lanes_[i->second.at];
    auto reason = x.problem ? to_string(*x.problem) : std::string{};
    if (x.outcome == batch_job_outcome::undecided) {
      forget_runner(i->second);
      jobs_.erase(i); // in the ledger it stays
      auto why = x.problem.value_or(make_failure(errc::internal, "a provider's job is in an unknown state"));
      if (why.suggestion.empty())
        why.suggestion = "run the same command again to go on, or start over with --fresh (which may pay twice)";
      stop(std::move(why));
      return fill();
    }
    note([nonce = x.nonce, outcome = to_string(x.outcome)](batch::ledger& to) { return to.end_job(nonce, outcome); });
    if (!i->second.entry.id.empty())
      ended_jobs_.push_back(i->second.entry.id);
    if (x.outcome == batch_job_outcome::finished && x.unreadable)
      give_up_rest(i->second, reason);
    auto alone = std::none_of(jobs_.begin(), jobs_.end(),
                              [&](auto& y) { return y.first != x.nonce && y.second.at == i->second.at; });
    auto fits_never = x.outcome == batch_job_outcome::busy && alone && i->second.items.size() <= 1;
    if (x.outcome == batch_job_outcome::refused || fits_never) {
      at.has_no_jobs = true;
      take_parts_back(i->second.at);
      warn("the batch API of " + at.name + " is not used, requests go out one by one: " + reason);
    } else if (x.outcome == batch_job_outcome::busy) {
      if (alone) // nothing of ours fills its queue: this one is larger than the queue's room
        at.most_items = std::max<std::size_t>(1, i->second.items.size() / 2);
      take_parts_back(i->second.at);
      at.busy_pause = std::clamp(2 * at.busy_pause, parts_->options.busy_pause,
                                 std::max(parts_->options.busy_pause, last_busy_pause));
      at.not_before = self_->clock().now() + at.busy_pause;
      run_at(self_, at.not_before, [this] { fill(); });
    } else {
      at.busy_pause = {};
      at.not_before = {}; // its queue has room again
      if (!reason.empty())
        warn("a job of " + at.name + ": " + reason);
    }
    auto expired = x.outcome == batch_job_outcome::finished;
    let_go(x.nonce, expired && parts_->options.after_expiry == batch_mode::live);
    fill();
  }

  /// What was put together for a provider is taken again, in smaller parts.
  void take_parts_back(std::size_t of) {
    for (auto at = parts_being_made_.begin(); at != parts_being_made_.end();)
      if (at->second.to == of) {
        for (auto& [index, item] : at->second.items)
          take_later(index, false);
        part_items_ -= at->second.items.size();
        at = parts_being_made_.erase(at);
      } else {
        ++at;
      }
  }

  /// The provider has run these, but their results cannot be had: sending them again is for the user to decide.
  void give_up_rest(job& x, const std::string& reason) {
    for (auto& [index, item] : std::exchange(x.items, {}))
      record(index, item.custom_id,
             make_failure(errc::outcome_unknown,
                          "the provider may have run this item, but its result cannot be read: " + reason,
                          "--retry-failed sends it again, which may be paid twice"),
             x.at, item.estimated, true);
  }

  /// Ends a job; what has no result is taken again in the next pass.
  void let_go(const std::string& nonce, bool to_live) {
    auto ended = jobs_.extract(nonce);
    auto& x = ended.mapped();
    forget_runner(x);
    for (auto& [index, item] : x.items)
      take_later(index, to_live);
    for (auto index : x.not_run)
      take_later(index, to_live);
    again_ = again_ && !parts_->options.cancel_jobs;
  }

  /// Not in this pass, which may have passed the item by already, and others of its kind not: they stay together.
  void take_later(uint64_t index, bool to_live) {
    given_back_.push_back(index);
    again_ = true;
    if (!to_live)
      return;
    if (index >= to_live_.size())
      to_live_.resize(index + 1);
    to_live_[index] = true;
  }

  void forget_runner(job& x) {
    if (x.watched)
      watched_.remove(std::exchange(x.watched, {}));
    x.runner = nullptr;
  }

  void warn(std::string text) {
    if (std::find(report_.warnings.begin(), report_.warnings.end(), text) == report_.warnings.end())
      report_.warnings.push_back(std::move(text));
  }

  // -- recording --------------------------------------------------------------------

  void record(uint64_t index, std::string custom_id, result outcome, std::optional<std::size_t> from,
              uint32_t estimated = 0, bool by_job = false) {
    if (auto* why = std::get_if<failure>(&outcome); why != nullptr && !report_.first_failure)
      report_.first_failure = *why;
    if (unwritable_)
      return;
    ++given_;
    if (index < retrying_.size() && retrying_[index]) {
      retrying_[index] = false;
      redone_.push_back(given_);
    }
    tally_.add(given_, from, outcome, estimated, by_job, by_job ? 1 / parts_->providers[*from].job_price : 1);
    recorder_->add({index, std::move(custom_id), std::move(outcome)});
  }

  void note(std::function<std::optional<failure>(batch::ledger&)> entry) {
    ++given_;
    recorder_->note(std::move(entry));
  }

  /// Calls `f` when all that was recorded until now is safe.
  template <class F>
  void when_safe(F f) {
    after_.emplace_back(given_, [f = std::make_shared<F>(std::move(f))] { (*f)(); });
    if (kept_ >= given_)
      post(self_, [this] { run_after(); });
  }

  void run_after() {
    while (!after_.empty() && after_.front().first <= kept_) {
      auto next = std::move(after_.front().second);
      after_.pop_front();
      next();
    }
  }

  void take_news(const batch::recorder_news& x) {
    kept_ = x.kept;
    report_.answered = x.ok;
    for (; !redone_.empty() && redone_.front() <= kept_; redone_.pop_front())
      --retried_;
    report_.failed = x.failed - std::min(x.failed, retried_);
    tally_.keep(kept_);
    run_after();
    if (x.problem) {
      unwritable_ = true;
      after_.clear();
      stop(*x.problem);
    }
    if (x.finished)
      return end(x.place);
    fill();
  }

  // -- ending -------------------------------------------------------------------------

  bool stopped() const { return report_.cancelled || report_.stopped_by; }

  void stop(failure why) {
    if (!report_.stopped_by)
      report_.stopped_by = std::move(why);
    withdraw();
  }

  void cancel() {
    if (ended_)
      return;
    report_.cancelled = true;
    withdraw();
    if (started_)
      fill();
  }

  void withdraw() {
    for (auto& [id, x] : sent_)
      tell(self_, parts_->providers[x.to].actor, cancel_atom_v, id);
  }

  void finish() {
    if (std::exchange(finishing_, true))
      return;
    report_.cancelled = report_.cancelled || (parts_->options.cancel_jobs && !stopped());
    recorder_->finish(!stopped());
  }

  void end(const std::string& place) {
    ended_ = true;
    feed_.reset();
    auto sum = tally_.total();
    report_.shares = tally_.shares();
    report_.attempts = sum.attempts;
    report_.results = place;
    report_.elapsed = self_->clock().now() - begin_;
    auto open = std::count_if(jobs_.begin(), jobs_.end(), [](auto& x) { return !x.second.entry.id.empty(); });
    if (open > 0)
      warn(std::to_string(open) + (open == 1 ? " job goes" : " jobs go")
           + " on at the provider; run the same command again to fetch what they did");
    tell_progress(true);
    recorder_.reset(); // whoever gets the report may open the ledger
    reply_.deliver(report_);
    keep_ = nullptr;
    self_->quit();
  }

  void tell_progress(bool last) {
    auto now = self_->clock().now();
    if (observers_.empty() || (!last && now - told_ < progress_interval))
      return;
    told_ = now;
    auto sum = tally_.total();
    batch_progress x;
    x.answered = report_.answered;
    x.failed = report_.failed;
    x.resumed = report_.resumed;
    x.in_flight = std::min<uint64_t>(sent_.size(), most_in_flight()); // what is beyond waits to be repeated
    for (auto& [nonce, y] : jobs_) {
      x.in_jobs += y.items.size();
      x.jobs.push_back(y.status);
      if (y.next_look)
        x.jobs.back().next_look = std::max<std::chrono::nanoseconds>(*y.next_look - now, 0ns);
    }
    x.total = total_;
    x.usage = sum.usage;
    x.cost = sum.cost;
    x.elapsed = now - begin_;
    x.finished = last;
    for (auto& observer : observers_)
      tell(self_, observer, x);
  }

  batch_actor::pointer self_;
  caf::strong_actor_ptr keep_; ///< Itself, while it runs.
  std::shared_ptr<batch_parts> parts_;
  std::vector<lane> lanes_; ///< One a provider, in the same order.
  batch::spread spread_;
  batch::tally tally_;
  std::unordered_map<request_id, sent_item> sent_;
  std::vector<request_id> held_;
  std::mt19937_64 random_;
  callers<batch_actor::base> watched_; ///< The actors that see to our jobs.
  std::vector<batch_observer_actor> observers_;
  caf::typed_response_promise<batch_report> reply_;
  batch_report report_;
  uint64_t retried_ = 0;        ///< Failures of an earlier run that are sent again and have not ended again yet.
  std::vector<bool> retrying_;  ///< By item: one of these.
  std::deque<uint64_t> redone_; ///< Numbers of the things that took their place and are not safe yet.
  std::vector<std::string> ended_jobs_;
  std::optional<uint64_t> total_;
  clock_type::time_point begin_{};
  clock_type::time_point told_{};
  clock_type::time_point asked_{};

  std::vector<bool> taken_;   ///< By item: it has a result, or is in flight.
  std::vector<bool> done_;    ///< By item: it had a result when we started.
  std::vector<bool> to_live_; ///< By item: no job any more.
  uint64_t items_ = 0;        ///< That have been read.
  std::map<std::string, job> jobs_;
  batch::item_ranges<job*> in_jobs_;                 ///< Of `jobs_`, while these are recovered.
  std::map<std::string, job_part> parts_being_made_; ///< By model.
  std::size_t part_items_ = 0;

  uint64_t given_ = 0; ///< Things given to the recorder.
  uint64_t kept_ = 0;  ///< Of these, what is safe.
  std::deque<std::pair<uint64_t, std::function<void()>>> after_;

  bool started_ = false;
  bool recovering_ = false; ///< The pass looks for items of jobs.
  bool at_end_ = false;
  bool again_ = false;               ///< Items are left for one more pass.
  std::vector<uint64_t> given_back_; ///< Those that the next pass takes again.
  bool pausing_ = false;
  bool asking_ = false;
  bool unwritable_ = false; ///< Results cannot be kept any more.
  bool finishing_ = false;
  bool ended_ = false;
  std::unique_ptr<batch::feed> feed_;
  std::unique_ptr<batch::recorder> recorder_;
};

/// Whether a read can be relied on to return at once.
bool is_regular_file(const std::string& path) {
  struct stat info;
  return path != "-" && (stat(path.c_str(), &info) != 0 || S_ISREG(info.st_mode) || S_ISDIR(info.st_mode));
}

/// Opens the ledger of a batch from file to file; nothing for any other.
std::optional<failure> open_ledger(batch_parts& x) {
  auto& options = x.options;
  if (!x.source || !is_regular_file(options.output)) {
    if (options.mode == batch_mode::provider)
      return make_failure(errc::invalid_request,
                          "a provider's batch API needs files for input and output, since its jobs outlive a run",
                          "write to a file, or use the mode live");
    return {};
  }
  auto path = ledger_path(options.output);
  auto input = batch::read_ledger_input(options.input);
  if (auto* problem = std::get_if<failure>(&input))
    return std::move(*problem);
  if (auto old = batch::ledger::look(path); options.fresh && old.index() == 0)
    for (auto& [nonce, job] : std::get<0>(old).jobs)
      x.warnings.push_back("a job of an earlier run is forgotten, and may go on at " + job.provider + ": "
                           + (job.id.empty() ? "its id is not known" : job.id));
  auto file = batch::open_ledger_file(path);
  if (auto* problem = std::get_if<failure>(&file))
    return std::move(*problem);
  auto ledger = batch::ledger::open(std::move(std::get<0>(file)), path, std::move(std::get<0>(input)), options.fresh);
  if (auto* problem = std::get_if<failure>(&ledger))
    return std::move(*problem);
  x.ledger = std::move(std::get<0>(ledger));
  return {};
}

} // namespace

std::string ledger_path(const std::string& output) {
  return output + ".ledger";
}

std::variant<batch_coordinator_actor, failure>
spawn_batch(caf::actor_system& system, std::vector<batch_provider> providers, const batch_options& options) {
  auto parts = std::make_shared<batch_parts>();
  parts->providers = std::move(providers);
  parts->options = options;
  if (auto problem = batch::refuse_same_file(options.input, options.output))
    return std::move(*problem);
  if (is_regular_file(options.input)) { // also one that is missing: it is refused at once
    parts->input_state = batch_parts::state_of(options.input);
    auto source = batch::open_source(options.input);
    if (auto* problem = std::get_if<failure>(&source))
      return std::move(*problem);
    parts->source = std::move(std::get<0>(source));
  }
  if (auto problem = open_ledger(*parts))
    return std::move(*problem);
  auto sink = batch::open_sink(options.output);
  if (auto* problem = std::get_if<failure>(&sink)) {
    if (parts->ledger && parts->ledger->is_new())
      std::remove(ledger_path(options.output).c_str());
    return std::move(*problem);
  }
  parts->sink = std::move(std::get<0>(sink));
  return system.spawn<batch_actor::stateful_impl<batch_coordinator_state>, caf::detached>(std::move(parts));
}

std::variant<batch_coordinator_actor, failure> spawn_batch(caf::actor_system& system, provider_actor provider,
                                                           const batch_options& options) {
  return spawn_batch(system, std::vector<batch_provider>{{std::move(provider)}}, options);
}

} // namespace modelforge
