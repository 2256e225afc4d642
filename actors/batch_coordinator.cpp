#include <modelforge/actors/batch_coordinator.hpp>

#include "actors/support/mail.hpp"
#include "batch/feed.hpp"
#include "batch/gather.hpp"
#include "batch/reader.hpp"
#include "batch/writer.hpp"

#include <modelforge/actors/system.hpp>

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <algorithm>
#include <deque>
#include <random>
#include <sys/stat.h>
#include <unordered_map>
#include <utility>

namespace modelforge {

namespace {

using namespace std::chrono_literals;
using result = std::variant<completion, failure>;

struct batch_parts {
  provider_actor provider;
  batch_options options;
  std::unique_ptr<batch::source> source; ///< Null for an input that may keep its reader waiting: a feed reads it.
  std::unique_ptr<batch::sink> sink;
};

/// How long to wait before an item is offered again to a provider whose queue others keep full.
constexpr auto full_queue_pause = 50ms;

/// Gives observers news at most so often.
constexpr auto progress_interval = 100ms;

/// Results wait no longer than this in memory.
constexpr auto flush_interval = 200ms;

/// Items started in one go; then cancel and progress get their turn.
constexpr int most_at_once = 256;

/// Keeps a window of items in flight at one provider and writes what comes back in the order of the input.
class batch_coordinator_state {
public:
  static inline const char* name = "batch-coordinator";

  batch_coordinator_state(batch_coordinator_actor::pointer self, std::shared_ptr<batch_parts> parts)
    : self_(self), parts_(std::move(parts)),
      gather_(std::max(1u, parts_->options.max_concurrent), 1000 + 4 * std::size_t{parts_->options.max_concurrent}),
      random_(std::random_device{}()) {}

  batch_coordinator_actor::behavior_type make_behavior() {
    return {
      [this](run_atom) { return run(); },
      [this](cancel_atom) { cancel(); },
      [this](observe_atom, batch_observer_actor who) { observers_.push_back(std::move(who)); },
    };
  }

private:
  struct ended_item {
    std::string custom_id;
    result outcome;
  };

  struct sent_item {
    uint64_t index;
    std::string custom_id;
    chat_request request; ///< Kept, because a full queue gives it back.
  };

  caf::result<batch_report> run() {
    if (started_)
      return caf::make_error(errc::duplicate_request);
    started_ = true;
    begin_ = self_->clock().now();
    reply_ = self_->make_response_promise<batch_report>();
    auto reply = reply_;
    if (!parts_->source)
      feed_ = std::make_unique<batch::feed>(
        parts_->options.input,
        [this, weak = caf::actor_cast<caf::weak_actor_ptr>(self_)] { post_if_alive(weak, [this] { fill(); }); });
    fill();
    return reply;
  }

  // -- sending ------------------------------------------------------------------

  /// Fills the window from the input, writes what is ready, and ends the batch when nothing is left.
  void fill() {
    if (ended_)
      return;
    write_ready(); // first: it makes room in the span
    for (int i = 0; !stopped() && !at_end_ && !pausing_ && gather_.may_start(); ++i) {
      if (i == most_at_once) {
        post(self_, [this] { fill(); });
        break;
      }
      if (!start_next())
        break;
    }
    write_ready();
    tell_progress(false);
    if (gather_.in_flight() == 0 && (at_end_ || stopped()))
      end();
  }

  /// Starts the next item. False: the input has none now.
  bool start_next() {
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
    auto index = gather_.start();
    if (auto* problem = std::get_if<failure>(&item->request)) {
      finish(index, std::move(item->custom_id), std::move(*problem));
      write_ready();
      return true;
    }
    auto& request = std::get<chat_request>(item->request);
    request.id = make_request_id(random_);
    request.priority = priority::batch;
    if (request.model.empty())
      request.model = parts_->options.model;
    if (!request.deadline)
      request.deadline = parts_->options.deadline;
    auto id = request.id;
    sent_.emplace(id, sent_item{index, std::move(item->custom_id), std::move(request)});
    send(id);
    return true;
  }

  void send(request_id id) {
    ask(self_, parts_->provider, sent_.at(id).request)
      .then([this, id](completion& x) { on_answer(id, std::move(x)); },
            [this, id](const caf::error& x) { on_error(id, failure_of(x)); });
  }

  // -- gathering ----------------------------------------------------------------

  void on_answer(request_id id, completion x) {
    if (x.usage) {
      report_.input_tokens += x.usage->input;
      report_.output_tokens += x.usage->output;
    }
    report_.attempts += x.attempts.size();
    end_item(id, std::move(x));
  }

  void on_error(request_id id, failure why) {
    if (why.code == errc::queue_full && !stopped()) {
      hold_back(id);
      return;
    }
    report_.attempts += why.attempts.size();
    if (why.code == errc::draining) // nobody is left to ask: the rest of the input stays unasked, not failed
      stop(why);
    end_item(id, std::move(why));
  }

  void end_item(request_id id, result outcome) {
    auto i = sent_.find(id);
    auto item = std::move(i->second);
    sent_.erase(i);
    finish(item.index, std::move(item.custom_id), std::move(outcome));
    fill();
  }

  void finish(uint64_t index, std::string custom_id, result outcome) {
    ++(std::holds_alternative<completion>(outcome) ? report_.answered : report_.failed);
    if (auto* why = std::get_if<failure>(&outcome); why && !report_.first_failure && why->code != errc::cancelled)
      report_.first_failure = *why;
    gather_.finish(index, {std::move(custom_id), std::move(outcome)});
  }

  /// Back-pressure is no failure: the item waits here, and nothing new is read, until the provider has room.
  void hold_back(request_id id) {
    held_.push_back(id);
    if (pausing_)
      return;
    pausing_ = true;
    self_->run_delayed(full_queue_pause, [this] {
      pausing_ = false;
      auto again = std::exchange(held_, {});
      for (auto x : again)
        stopped() ? end_item(x, cancelled()) : send(x);
      fill();
    });
  }

  static failure cancelled() {
    failure x;
    x.code = errc::cancelled;
    x.message = "the batch was cancelled before this item was sent";
    return x;
  }

  void write_ready() {
    while (auto x = gather_.take())
      if (!unwritable_) {
        keep(parts_->sink->write(x->custom_id, x->outcome));
        unflushed_ = true;
      }
    if (!unflushed_ || unwritable_ || flush_set_)
      return;
    if (self_->clock().now() - flushed_ >= flush_interval)
      return flush();
    flush_set_ = true;
    self_->run_delayed(flush_interval, [this] {
      flush_set_ = false;
      flush();
    });
  }

  void flush() {
    if (ended_ || unwritable_)
      return;
    flushed_ = self_->clock().now();
    unflushed_ = false;
    keep(parts_->sink->flush());
  }

  /// Stops the batch if a result could not be kept: going on would pay for answers that are lost.
  void keep(std::optional<failure> problem) {
    if (!problem)
      return;
    unwritable_ = true;
    stop(std::move(*problem));
  }

  // -- ending -------------------------------------------------------------------

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
      tell(self_, parts_->provider, cancel_atom_v, id);
  }

  void end() {
    if (ended_)
      return;
    ended_ = true;
    feed_.reset();
    auto problem = parts_->sink->finish(!stopped());
    if (problem && !report_.stopped_by)
      report_.stopped_by = std::move(problem);
    report_.results = parts_->sink->place();
    report_.elapsed = self_->clock().now() - begin_;
    tell_progress(true);
    reply_.deliver(report_);
    self_->quit();
  }

  void tell_progress(bool last) {
    auto now = self_->clock().now();
    if (observers_.empty() || (!last && now - told_ < progress_interval))
      return;
    told_ = now;
    batch_progress x;
    x.answered = report_.answered;
    x.failed = report_.failed;
    x.in_flight = gather_.in_flight();
    if (at_end_)
      x.total = x.answered + x.failed + x.in_flight;
    x.input_tokens = report_.input_tokens;
    x.output_tokens = report_.output_tokens;
    x.elapsed = now - begin_;
    x.finished = last;
    for (auto& observer : observers_)
      tell(self_, observer, x);
  }

  batch_coordinator_actor::pointer self_;
  std::shared_ptr<batch_parts> parts_;
  batch::gather<ended_item> gather_;
  std::unordered_map<request_id, sent_item> sent_;
  std::deque<request_id> held_;
  std::mt19937_64 random_;
  std::vector<batch_observer_actor> observers_;
  caf::typed_response_promise<batch_report> reply_;
  batch_report report_;
  caf::actor_clock::time_point begin_{};
  caf::actor_clock::time_point told_{};
  bool started_ = false;
  bool at_end_ = false;
  bool pausing_ = false;
  bool ended_ = false;
  std::unique_ptr<batch::feed> feed_;
  caf::actor_clock::time_point flushed_{};
  bool unflushed_ = false;  ///< Something was written since the last flush.
  bool flush_set_ = false;  ///< A flush is coming.
  bool unwritable_ = false; ///< Results cannot be kept any more.
};

/// Whether a read can be relied on to return at once.
bool is_regular_file(const std::string& path) {
  struct stat info;
  return path != "-" && (stat(path.c_str(), &info) != 0 || S_ISREG(info.st_mode) || S_ISDIR(info.st_mode));
}

} // namespace

std::variant<batch_coordinator_actor, failure> spawn_batch(caf::actor_system& system, provider_actor provider,
                                                           const batch_options& options) {
  auto parts = std::make_shared<batch_parts>();
  parts->provider = std::move(provider);
  parts->options = options;
  if (auto problem = batch::refuse_same_file(options.input, options.output))
    return std::move(*problem);
  if (is_regular_file(options.input)) { // also one that is missing: it is refused at once
    auto source = batch::open_source(options.input);
    if (auto* problem = std::get_if<failure>(&source))
      return std::move(*problem);
    parts->source = std::move(std::get<0>(source));
  }
  auto sink = batch::open_sink(options.output);
  if (auto* problem = std::get_if<failure>(&sink))
    return std::move(*problem);
  parts->sink = std::move(std::get<0>(sink));
  return system.spawn<batch_coordinator_actor::stateful_impl<batch_coordinator_state>, caf::detached>(std::move(parts));
}

} // namespace modelforge
