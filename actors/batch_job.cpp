#include "actors/batch_job.hpp"

#include "actors/support/callers.hpp"
#include "actors/support/fetch.hpp"
#include "actors/support/mail.hpp"
#include "optimize/markers.hpp"
#include "optimize/optimizers.hpp"
#include "provider/explanations.hpp"
#include "provider/masking.hpp"
#include "provider/model_groups.hpp"

#include <caf/actor_system.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <random>
#include <utility>

namespace modelforge {

namespace {

using namespace std::chrono_literals;

/// A message of results has at most so many, and is sent when their lines have so many bytes.
constexpr std::size_t max_results = 256;
constexpr std::size_t max_bytes = 1u << 20;

/// Items encoded in one turn of the actor.
constexpr std::size_t max_encoded_at_once = 256;

/// What one line of results may have; far more than any answer.
constexpr std::size_t max_line = 64u << 20;

/// Hands what comes of a download to the actor, as it comes.
class line_receiver : public http::receiver {
public:
  struct news {
    std::optional<http::response_head> head;
    std::string bytes;
    std::optional<http::transfer_end> end;
  };

  explicit line_receiver(std::function<void(news)> tell) : tell_(std::move(tell)) {}

  void on_head(http::response_head head) override { pending_.head = std::move(head); }
  void on_data(std::string_view bytes) override { pending_.bytes += bytes; }
  void on_end(http::transfer_end end) override { pending_.end = std::move(end); }

  void flush() override {
    if (pending_.head || !pending_.bytes.empty() || pending_.end)
      tell_(std::exchange(pending_, {}));
  }

private:
  std::function<void(news)> tell_;
  news pending_;
};

/// One item's line, changed by the optimizers as a live request would be.
std::variant<wire::batch_line, failure> encode(const wire::batch_api& api, const std::string& id,
                                               const optimize::pipeline& optimizers, chat_request& request) {
  auto told = optimize::apply(optimizers, request);
  auto line = api.encode_item(id, request);
  if (std::holds_alternative<failure>(line) && told.original) {
    request = std::move(*told.original);
    optimize::remove_markers(request); // they must go all the same
    line = api.encode_item(id, request);
  }
  return line;
}

/// Results on their way to the listener: those of the next message, and whether it has kept those of the last one.
class result_outbox {
public:
  void add(batch_job_result result, std::size_t bytes) {
    results_.push_back(std::move(result));
    bytes_ += bytes;
  }

  bool empty() const { return results_.empty(); }
  bool is_full() const { return results_.size() >= max_results || bytes_ >= max_bytes; }

  std::vector<batch_job_result> take() {
    bytes_ = 0;
    is_telling_ = true;
    return std::exchange(results_, {});
  }

  /// The listener has some, and has not kept them yet.
  bool is_telling() const { return is_telling_; }
  void on_kept() { is_telling_ = false; }

private:
  std::vector<batch_job_result> results_;
  std::size_t bytes_ = 0; ///< Of their lines.
  bool is_telling_ = false;
};

/// Carries out what `batch::job` decides: encodes its items, makes its calls one after the other, and hands its results
/// to the listener, no faster than that keeps them.
///
/// Items are encoded some at a time, so that a job of ten thousand does not hold up a worker. From then on `go_on`
/// looks what is due after every event. Invariants: one call at a time (`transfer_`), and what an earlier one still
/// brings is known by its `turn_` and not looked at; one message of results is with the listener at a time, and as long
/// as it has not said that they are kept, no further bytes of the download are let in: so memory is bounded by two
/// messages and a line. The end is told once (`leave`), also where the provider's actor dies; only where the listener
/// dies there is nobody to tell.
///
/// Spawned by the provider's actor for each `batch_job_request`; the listener is the batch's coordinator. What comes
/// from the transport's thread is posted into this actor.
class job_runner_state {
public:
  static inline const char* name = "batch-job";

  job_runner_state(batch_job_actor::pointer self, std::shared_ptr<batch_job_parts> parts,
                   batch_job_listener_actor listener, const provider_actor& provider)
    : self_(self), parts_(std::move(parts)), listener_(std::move(listener)),
      watched_(self, [this](const caf::actor_addr& who, const caf::error&) { on_death(who); }),
      keep_(caf::actor_cast<caf::strong_actor_ptr>(self)) {
    begin_ = self_->clock().now();
    watched_.add(caf::actor_cast<caf::strong_actor_ptr>(listener_));
    provider_ = watched_.add(caf::actor_cast<caf::strong_actor_ptr>(provider));
    post(self_, [this] { encode_some(); });
  }

  ~job_runner_state() {
    if (transfer_ != 0)
      parts_->transport->cancel(transfer_);
  }

  batch_job_actor::behavior_type make_behavior() {
    return {
      [this](cancel_atom) {
        if (!job_) {
          parts_->asked.cancel = true;
          return;
        }
        job_->cancel(now());
        go_on();
      },
    };
  }

private:
  batch::time_point now() const { return self_->clock().now(); }

  // -- encoding ---------------------------------------------------------------------

  /// Encodes some of the items, then lets others have their turn.
  void encode_some() {
    if (has_left_)
      return;
    auto& items = parts_->asked.items;
    auto end = std::min(items.size(), encoded_.items + max_encoded_at_once);
    for (; encoded_.items < end; ++encoded_.items)
      encode_item(items[encoded_.items]);
    if (encoded_.items < items.size())
      return post(self_, [this] { encode_some(); });
    auto most = parts_->api->limits();
    if (encoded_.lines.size() > most.items || encoded_.bytes > most.bytes)
      return leave({parts_->asked.nonce,
                    {},
                    batch_job_outcome::refused,
                    make_failure(errc::too_large, "a job takes at most " + std::to_string(most.items) + " items and "
                                                    + std::to_string(most.bytes) + " bytes here")});
    parts_->asked.items = {};
    job_.emplace(*parts_->api, parts_->asked, std::move(encoded_.lines), parts_->timing, std::random_device{}());
    go_on();
  }

  /// An item that cannot be encoded has failed already, and is told with the results; the others go on.
  void encode_item(batch_job_item& item) {
    if (item.request.model.empty())
      item.request.model = parts_->asked.model;
    parts_->defaults.apply(item.request);
    auto line =
      encode(*parts_->api, wire::batch_item_id(parts_->asked.nonce, item.number), parts_->optimizers, item.request);
    if (auto* why = std::get_if<failure>(&line)) {
      why->provider = parts_->provider;
      outbox_.add({item.number, false, std::move(*why)}, 0);
      return;
    }
    auto& text = encoded_.lines.emplace_back(std::move(std::get<wire::batch_line>(line).text));
    encoded_.bytes += text.size() + 1;
    item.request = {};
  }

  // -- deciding ---------------------------------------------------------------------

  /// Does what is due: hands results over, makes the next call, waits for its time, or ends.
  void go_on() {
    if (has_left_ || outbox_.is_telling())
      return;
    while (job_ && !outbox_.is_full()) {
      auto result = job_->take_kept();
      if (!result)
        break;
      keep(std::move(*result), sizeof *result);
    }
    if (!outbox_.empty() && (outbox_.is_full() || transfer_ == 0))
      return tell_results();
    if (transfer_ != 0)
      return;
    if (job_->over())
      return leave(job_->end());
    if (auto call = job_->next(now()))
      make(std::move(*call));
    else
      wait_until(job_->due());
    tell_status();
  }

  void wait_until(batch::time_point when) {
    run_at(self_, when, [this] { go_on(); });
  }

  /// Tells how the job stands, where that has changed.
  void tell_status() {
    auto status = job_->status(now());
    mask_whole(*parts_->secrets, status);
    auto told = status;
    told.next_look.reset(); // passes by itself
    if (std::exchange(status_, told) == told && !status.next_look)
      return;
    status.elapsed = now() - begin_;
    tell(self_, listener_, std::move(status));
  }

  // -- calls ----------------------------------------------------------------------

  /// Makes the one call under way. A call of results is read line by line, any other as a whole.
  void make(batch::job::exchange next) {
    http::request out;
    out.method = std::string{next.call.method};
    out.url = parts_->base_url + next.call.path;
    out.headers = std::move(next.call.headers);
    out.headers.insert(out.headers.end(), parts_->headers.begin(), parts_->headers.end());
    out.body = std::move(next.call.body);
    out.connect_timeout = parts_->connect_timeout;
    out.first_byte_timeout = parts_->call_timeout;
    out.idle_timeout = std::max(parts_->idle_timeout, std::chrono::nanoseconds{60s});
    out.http2 = false; // a large body is no good neighbour on a shared connection
    ++turn_;
    if (next.results)
      return fetch_lines(std::move(out));
    out.total_timeout = parts_->call_timeout;
    transfer_ = fetch(*parts_->transport, std::move(out), caf::actor_cast<caf::weak_actor_ptr>(self_),
                      [this, turn = turn_](const http::response& answer) {
                        if (turn == turn_)
                          take(answer);
                      });
  }

  void take(const http::response& answer) {
    transfer_ = 0;
    if (answer.end.error)
      fail(*answer.end.error);
    else
      job_->take_answer(now(), answer.head, answer.body);
    go_on();
  }

  /// The job decides what follows; it needs to know whether the call may have arrived.
  void fail(const http::transfer_error& error) {
    auto why = provider::describe(error);
    why.provider = parts_->provider;
    job_->take_failure(now(), {std::move(why), error.request_written || error.response_begun});
  }

  /// Results may have any size: they are let in only as fast as the listener keeps them.
  void fetch_lines(http::request out) {
    download_ = {};
    out.max_response_bytes = UINT64_MAX;
    auto weak = caf::actor_cast<caf::weak_actor_ptr>(self_);
    auto target = std::make_shared<line_receiver>([this, weak, turn = turn_](line_receiver::news news) {
      post_if_alive(weak, [this, turn, news = std::move(news)]() mutable {
        if (turn == turn_)
          take_news(std::move(news));
      });
    });
    transfer_ = parts_->transport->open(std::move(out), std::move(target));
  }

  void take_news(line_receiver::news news) {
    if (news.head)
      download_.head = std::move(*news.head);
    download_.buffer += news.bytes;
    download_.ungranted += news.bytes.size();
    if (news.end)
      download_.end = std::move(news.end);
    read_lines();
  }

  /// Takes in what has come, as far as the listener has kept what came before.
  void read_lines() {
    if (outbox_.is_telling())
      return;
    auto good = download_.head.status >= 200 && download_.head.status < 300;
    std::size_t begin = 0;
    while (good && !job_->has_seen_enough() && !outbox_.is_full()) {
      auto end = download_.buffer.find('\n', begin);
      if (end == download_.buffer.npos && (!download_.end || download_.end->error || begin == download_.buffer.size()))
        break;
      take_line(std::string_view{download_.buffer}.substr(begin, end - begin));
      begin = end == download_.buffer.npos ? download_.buffer.size() : end + 1;
    }
    download_.buffer.erase(0, begin);
    if (outbox_.is_full())
      return tell_results();
    if (job_->has_seen_enough() || download_.buffer.size() > max_line)
      return end_download();
    if (download_.end)
      return end_download();
    if (download_.ungranted > 0)
      parts_->transport->grant(transfer_, std::exchange(download_.ungranted, 0));
  }

  void take_line(std::string_view line) {
    auto results = job_->take_line(line);
    for (auto& result : results)
      keep(std::move(result), line.size() / results.size());
  }

  /// Masks one result, prices it and puts it into the outbox.
  void keep(batch_job_result result, std::size_t bytes) {
    if (auto* answer = std::get_if<completion>(&result.outcome)) {
      mask(*parts_->secrets, *answer);
      answer->provider = parts_->provider;
      if (answer->usage)
        answer->cost = parts_->price(*answer->usage);
    } else {
      auto& why = std::get<failure>(result.outcome);
      mask(*parts_->secrets, why);
      why.provider = parts_->provider;
    }
    outbox_.add(std::move(result), bytes);
  }

  /// Tells the job how the download ended: whole, broken, refused, or with a line that cannot be kept.
  void end_download() {
    auto id = std::exchange(transfer_, 0);
    auto end = std::exchange(download_.end, std::nullopt);
    ++turn_;
    download_.ungranted = 0;
    if (!end)
      parts_->transport->cancel(id);
    auto good = download_.head.status >= 200 && download_.head.status < 300;
    if (end && end->error)
      fail(*end->error);
    else if (!good)
      job_->take_answer(now(), download_.head, download_.buffer);
    else if (!job_->has_seen_enough()
             && download_.buffer.size() > max_line) // what is behind it must not count as not run
      job_->take_failure(now(),
                         {make_failure(errc::too_large, "a line of the job's results is longer than 64 MiB"), true});
    else
      job_->end_lines(now());
    download_.buffer.clear();
    go_on();
  }

  // -- handing over -----------------------------------------------------------------

  /// Hands over what is ready, and waits for the listener's word before more is read.
  void tell_results() {
    batch_job_results results;
    results.nonce = parts_->asked.nonce;
    results.results = outbox_.take();
    ask(self_, listener_, std::move(results))
      .then(
        [this] {
          outbox_.on_kept();
          if (transfer_ != 0)
            read_lines();
          go_on();
        },
        [this](const caf::error&) { quit(); });
  }

  /// The listener's end is the end of this actor, not of the job. Without the provider's actor nothing can be known of
  /// it now, so the listener is to ask again.
  void on_death(const caf::actor_addr& who) {
    if (who != provider_)
      return quit();
    batch_job_end end;
    end.nonce = parts_->asked.nonce;
    end.job = job_ ? job_->status(now()).job : parts_->asked.job;
    end.outcome = batch_job_outcome::undecided;
    end.problem = make_failure(errc::draining, "the provider's actor has ended", "the job goes on; ask for it again");
    leave(std::move(end));
  }

  /// Sends the last message and ends.
  void leave(batch_job_end end) {
    if (end.problem) {
      mask(*parts_->secrets, *end.problem);
      end.problem->provider = parts_->provider;
    }
    tell(self_, listener_, std::move(end));
    quit();
  }

  void quit() {
    has_left_ = true;
    keep_ = nullptr;
    self_->quit();
  }

  /// The items' lines, as far as they have been made.
  struct encoding {
    std::size_t items = 0;
    std::vector<std::string> lines;
    std::size_t bytes = 0;
  };

  /// What has come of a download, and has not been read.
  struct incoming {
    http::response_head head;
    std::string buffer;
    std::size_t ungranted = 0; ///< Bytes that came and for which no others are let in yet.
    std::optional<http::transfer_end> end;
  };

  batch_job_actor::pointer self_;
  std::shared_ptr<batch_job_parts> parts_;
  batch_job_listener_actor listener_;
  callers<batch_job_actor::base> watched_;
  caf::actor_addr provider_;
  caf::strong_actor_ptr keep_; ///< Itself, until the end: nobody else need hold it.
  batch::time_point begin_;
  encoding encoded_;
  std::optional<batch::job> job_;          ///< When its items have been encoded.
  std::optional<batch_job_status> status_; ///< As last told.
  http::transfer_id transfer_ = 0;         ///< The call under way; 0: none.
  uint64_t turn_ = 0;                      ///< Of calls: what comes of an earlier one is no news.
  incoming download_;
  result_outbox outbox_;
  bool has_left_ = false;
};

} // namespace

std::variant<batch_job_parts, failure> prepare_job(const provider::setup& setup,
                                                   std::shared_ptr<http::client> transport, batch_job_request& asked) {
  auto& settings = setup.settings;
  if (asked.model.empty())
    asked.model = settings.default_model;
  auto number = provider::group_of(settings, asked.model);
  auto& group = setup.groups[number];
  batch_job_parts prepared;
  prepared.provider = settings.name;
  prepared.api = group.dialect->batches();
  if (!prepared.api)
    return make_failure(errc::unsupported, settings.name + " has no batch API that we know");
  prepared.defaults = group.defaults;
  prepared.optimizers = group.optimizers;
  prepared.asked = std::move(asked);
  prepared.base_url = setup.base_url;
  setup.add_headers(0, prepared.headers);
  prepared.transport = std::move(transport);
  prepared.secrets = setup.secrets;
  prepared.price = [settings, number](const token_usage& usage) {
    auto live = provider::cost_of(settings, number, usage);
    return live ? std::optional{*live * provider::price_of(settings, number).batch} : std::nullopt;
  };
  prepared.connect_timeout = settings.timeouts.connect;
  prepared.idle_timeout = settings.timeouts.idle;
  return prepared;
}

batch_job_actor spawn_batch_job(caf::actor_system& system, batch_job_parts parts, batch_job_listener_actor listener,
                                const provider_actor& provider) {
  return system.spawn<batch_job_actor::stateful_impl<job_runner_state>>(
    std::make_shared<batch_job_parts>(std::move(parts)), std::move(listener), provider);
}

} // namespace modelforge
