#include <modelforge/actors/provider.hpp>

#include "actors/batch_job.hpp"
#include "actors/embedding_split.hpp"
#include "actors/optimized_request.hpp"
#include "actors/provider_control.hpp"
#include "actors/provider_metrics.hpp"
#include "actors/provider_parts.hpp"
#include "actors/provider_texts.hpp"
#include "actors/stream_session.hpp"
#include "actors/support/callers.hpp"
#include "actors/support/drain.hpp"
#include "actors/support/fetch.hpp"
#include "actors/support/mail.hpp"
#include "actors/support/masking.hpp"
#include "actors/support/timer.hpp"
#include "dispatch/journal.hpp"
#include "limits/token_estimator.hpp"
#include "node/spent_attempts.hpp"
#include "retry/due_queue.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <algorithm>
#include <iterator>
#include <random>
#include <set>
#include <unordered_map>

namespace modelforge {

namespace {

using time_point = dispatcher::time_point;
using attempt_id = dispatcher::attempt_id;

/// `from` + `length`, where a length without end stays one.
time_point after(time_point from, std::chrono::nanoseconds length) {
  return length < time_point::max() - from ? from + length : time_point::max();
}

/// Calls `f`. What it throws (a bug, or no memory) becomes this one request's failure instead of the actor's end.
template <class T, class F>
std::variant<T, failure> guarded(F f) {
  try {
    return f();
  } catch (const std::exception& x) {
    return make_failure(errc::internal, std::string{"an unexpected exception: "} + x.what(), "please report this");
  }
}

/// Carries out what its dispatcher decides for one provider.
class provider_state : public stream_owner {
public:
  static inline const char* name = "provider";

  provider_state(provider_actor::pointer self, provider_parts parts, provider_state** known_as)
    : self_(self), parts_(std::move(parts)), dispatcher_(parts_.dispatch, std::random_device{}()),
      metrics_(self->system().metrics(), parts_.settings.name, to_string(parts_.settings.kind)),
      callers_(self, [this](const caf::actor_addr& who, const caf::error&) { on_death(who); }),
      random_(std::random_device{}()) {
    for (auto& key : parts_.keys)
      credentials_.push_back(key.is);
    take_over();
    *known_as = this;
  }

  /// Nobody is left to take the answers of what still runs: stop it. (No message is sent from here.)
  ~provider_state() override {
    for (auto& [id, x] : live_)
      if (x.transfer != 0)
        parts_.transport->cancel(x.transfer);
    write_journal(true);
    if (parts_.legacy)
      parts_.legacy->leave({now(), used_of_limits(true)});
  }

  provider_actor::behavior_type make_behavior() {
    return {
      [this](chat_request& x) { return accept(x); },
      [this](stream_request& x, const stream_subscriber_actor& to) { return accept_stream(x, to); },
      [this](embedding_request& x) { return accept_embedding(x); },
      [this](batch_job_request& x, const batch_job_listener_actor& to) { return accept_job(x, to); },
      [this](models_atom) { return list_models(); },
      [this](cancel_atom, request_id id) { cancel(id); },
      [this](status_atom) { return status(); },
      [this](drain_atom, caf::timespan grace) { return drain(grace); },
      [](const request_id&, const attempts_made&) {}, // it gives none on
      [](received_atom, uint64_t) {},
    };
  }

  /// What runs goes on with what it was begun with; what waits goes to the new place, by the new keys, as it was put
  /// together.
  void reconfigure(provider_parts fresh) {
    auto at = now();
    take_written();
    fresh.transport = parts_.transport;
    fresh.limits_journal = std::move(parts_.limits_journal);
    fresh.legacy = std::move(parts_.legacy);
    auto secrets = std::make_shared<secret_mask>(*fresh.secrets); // what is under way carries the older ones
    secrets->keep(*parts_.secrets);
    fresh.secrets = std::move(secrets);
    if (same_lanes(parts_, fresh))
      dispatcher_.reconfigure(fresh.dispatch);
    else
      dispatcher_.reconfigure(fresh.dispatch, heritage_of(parts_, fresh, credentials_), at);
    parts_ = std::move(fresh);
    resume();
    for (auto& [id, live] : live_)
      live.group = group_of(parts_.settings, live.model);
    keep_journal();
    serve(at);
  }

  void keep_journal() {
    if (!parts_.limits_journal)
      if (auto problem = open_journal(parts_))
        parts_.problem = problem->message;
    dispatcher_.keep_journal(parts_.limits_journal.has_value());
  }

  void admit(const caf::strong_actor_ptr& who, std::string node) {
    guests_.insert_or_assign(callers_.add(who), std::move(node));
  }

private:
  struct live_request {
    std::variant<caf::typed_response_promise<completion>, caf::typed_response_promise<embedding>> reply;
    bool streamed = false;  ///< Then its session is told, and `reply` is unused.
    std::size_t inputs = 0; ///< Of a request for embeddings.
    caf::actor_addr caller;
    std::string model;
    const wire::dialect* dialect = nullptr; ///< It was encoded by.
    wire::encoded_request encoded;
    std::vector<std::string> optimizations; ///< What the optimizers changed.
    limits::charge reserved;
    limits::accounting accounting; ///< That was reserved by.
    uint32_t group = 0;            ///< Of models.
    uint64_t raw_tokens = 0;       ///< Of the prompt, before it was corrected.
    time_point accepted;
    time_point idle_since{};        ///< Acceptance, or the end of the attempt before.
    http::transfer_id transfer = 0; ///< Under way; 0: none.
    uint32_t spent = 0;             ///< Attempts of it, by others and here; the one under way, too.
    bool reports = false;           ///< Its asker is another provider actor, which may come again with it.
    attempt_record current;         ///< Of the attempt under way.
    std::vector<attempt_record> attempts;
    std::optional<failure> last; ///< How the latest attempt failed.
  };

  /// A stream whose session has not ended. Its request may have: slow subscribers take their time.
  struct live_stream {
    spawned_stream is;
    caf::actor_addr who;
    std::optional<time_point> alarm; ///< When the session wants to be woken.
  };

  using live_map = std::unordered_map<request_id, live_request>;

  static constexpr auto list_timeout = std::chrono::seconds{30};
  static constexpr std::size_t most_records = 64; ///< Of a request's attempts.
  static constexpr auto show_interval = std::chrono::milliseconds{250};

  time_point now() const { return self_->clock().now(); }

  // -- accepting ----------------------------------------------------------------

  /// By the model, once it is known.
  template <class Request>
  const wire::dialect& dialect_for(const Request& x) const {
    return *parts_.dialects[group_of(parts_.settings, x.model)];
  }

  caf::result<completion> accept(chat_request& x) {
    auto taken = take(x, parts_.settings.default_model, [&] { return dialect_for(x).encode(x); });
    if (auto* why = std::get_if<caf::error>(&taken))
      return std::move(*why);
    return begin<completion>(x.id, std::get<live_request>(taken));
  }

  caf::result<embedding> accept_embedding(embedding_request& x) {
    auto most = parts_.dialects.front()->most_inputs();
    if (most > 0 && x.inputs.size() > most && !drain_.is_on())
      return split(x, most);
    if (most > 0 && x.inputs.empty())
      return refuse(x, make_failure(errc::invalid_request, "inputs is empty", "give at least one text"));
    auto taken = take(x, parts_.settings.default_embedding_model, [&] { return dialect_for(x).encode_embedding(x); });
    if (auto* why = std::get_if<caf::error>(&taken))
      return std::move(*why);
    auto& live = std::get<live_request>(taken);
    live.inputs = x.inputs.size();
    return begin<embedding>(x.id, live);
  }

  /// Lets an actor of its own send the parts, as requests like all others.
  caf::result<embedding> split(embedding_request& x, std::size_t most) {
    std::erase_if(splits_, [](auto& entry) { return caf::actor_cast<caf::strong_actor_ptr>(entry.second) == nullptr; });
    if (!x.id)
      x.id = make_request_id(random_);
    auto at_once = std::size_t{2} * parts_.settings.max_concurrent * parts_.keys.size();
    auto actor = spawn_embedding_split(self_->system(), caf::actor_cast<provider_actor>(self_), most, at_once);
    splits_[x.id] = caf::actor_cast<caf::weak_actor_ptr>(actor);
    if (auto node = asking_node(); !node.empty())
      admit(caf::actor_cast<caf::strong_actor_ptr>(actor), std::move(node));
    return self_->delegate(actor, std::move(x));
  }

  /// For which node the sender of the message in hand asks; empty: for nobody else.
  std::string asking_node() const {
    if (guests_.empty())
      return {};
    auto i = guests_.find(caf::actor_cast<caf::actor_addr>(self_->current_sender()));
    return i != guests_.end() ? i->second : std::string{};
  }

  template <class Answer>
  caf::result<Answer> begin(request_id id, live_request& live) {
    live.caller = callers_.add(self_->current_sender()); // the promise takes the sender away
    auto reply = self_->make_response_promise<Answer>();
    live.reply = reply;
    live_.emplace(id, std::move(live));
    serve(now());
    return reply;
  }

  caf::result<stream_session_actor> accept_stream(stream_request& x, const stream_subscriber_actor& to) {
    if (to == nullptr || x.as.from != 0)
      return refuse(x.chat, make_failure(errc::invalid_request, to == nullptr ? "the stream has no subscriber"
                                                                              : "a new stream begins with piece 0"));
    auto taken = take(x.chat, parts_.settings.default_model, [&] { return dialect_for(x.chat).encode(x.chat, true); });
    if (auto* why = std::get_if<caf::error>(&taken))
      return std::move(*why);
    auto& live = std::get<live_request>(taken);
    live_stream stream;
    stream.is = spawn_stream_session(self_->system(), parts_of(x, to));
    stream.who = callers_.add(caf::actor_cast<caf::strong_actor_ptr>(stream.is.actor));
    live.streamed = true;
    live.caller = stream.who;
    auto session = stream.is.actor;
    streams_.emplace(x.chat.id, std::move(stream));
    live_.emplace(x.chat.id, std::move(live));
    serve(now());
    if (auto i = live_.find(x.chat.id); i != live_.end() && i->second.transfer == 0)
      streams_.at(x.chat.id).is.session->wake(); // it waits here, and is to see its subscriber die
    return session;
  }

  stream_parts parts_of(const stream_request& x, const stream_subscriber_actor& to) {
    auto& by = parts_.settings.stream;
    auto& timeouts = parts_.settings.timeouts;
    stream_parts result;
    result.settings.id = x.chat.id;
    result.settings.log_limit = x.log_limit.value_or(by.log_limit);
    result.settings.first_token = timeouts.first_token;
    result.settings.idle = timeouts.idle;
    result.settings.min_bytes_per_second = by.min_bytes_per_second;
    result.settings.reader_idle = x.reader_idle.value_or(by.reader_idle);
    result.settings.on_disconnect = x.on_disconnect.value_or(by.on_disconnect);
    result.settings.drain_time = x.drain_time.value_or(by.drain_time);
    result.settings.whole_text = x.whole_text;
    result.as = x.as;
    result.subscriber = to;
    result.dialect = &dialect_for(x.chat);
    result.transport = parts_.transport;
    result.secrets = parts_.secrets;
    result.provider = caf::actor_cast<provider_actor>(self_);
    result.owner = this;
    return result;
  }

  /// Takes a request in, if it can be sent.
  template <class Request, class Encode>
  std::variant<live_request, caf::error> take(Request& x, const std::string& default_model, Encode encode) {
    auto at = now();
    if (!x.id)
      x.id = make_request_id(random_);
    if (x.model.empty())
      x.model = default_model;
    if (x.model.empty() && !drain_.is_on())
      return refuse(x, make_failure(errc::invalid_request, "the request names no model",
                                    std::is_same_v<Request, embedding_request>
                                      ? "name one, or set default_embedding_model for this provider"
                                      : "name one, or set default_model for this provider"));
    if (x.deadline && x.deadline->count() <= 0)
      return refuse(x, make_failure(errc::deadline_exceeded, "its deadline had passed when the request arrived"));
    if (streams_.count(x.id) > 0 && live_.count(x.id) == 0)
      return refuse(x, make_failure(errc::duplicate_request, "a stream with this id is being handed over"));
    auto earlier = spent_.all_of(x.id, std::move(x.earlier), at);
    if (earlier.spent >= parts_.settings.retry.max_attempts)
      return refuse(x, used_up(std::move(earlier)));
    live_request live;
    auto encoded = guarded<wire::encoded_request>([&] { return optimized(x, encode, live.optimizations); });
    if (auto* problem = std::get_if<failure>(&encoded))
      return refuse(x, std::move(*problem));
    live.encoded = std::move(std::get<wire::encoded_request>(encoded));
    live.raw_tokens = raw_tokens(x);
    live.group = group_of(parts_.settings, x.model);
    live.dialect = parts_.dialects[live.group];
    live.accounting = parts_.accounting[live.group];
    live.reserved = estimate(x.model, most_tokens(x), live);
    live.model = x.model;
    live.idle_since = at;
    live.accepted = at - earlier.age;
    live.attempts = std::move(earlier.records);
    live.spent = earlier.spent;
    live.reports = earlier.report;
    take_written();
    auto no = dispatcher_.accept({.id = x.id,
                                  .rank = x.priority,
                                  .tenant = std::move(x.tenant),
                                  .node = asking_node(),
                                  .group = limited_as(parts_.settings, live.group),
                                  .cost = live.reserved,
                                  .bytes = live.encoded.body.size(),
                                  .deadline = deadline_of(x, at),
                                  .spent = live.spent,
                                  .model = x.model,
                                  .least = least(x, live)},
                                 at);
    if (no) {
      auto why = describe(*no, parts_.dispatch, {}, false, nullptr);
      why.attempts = std::move(live.attempts);
      return refuse(x, std::move(why), true);
    }
    spent_.forget(x.id);
    return live;
  }

  /// Others have made all the attempts that it may take.
  failure used_up(attempts_made x) const {
    auto last = x.records.empty() ? errc::none : x.records.back().result;
    auto why = make_failure(last != errc::none ? last : errc::node_lost,
                            "its attempts were used up before it came here: " + std::to_string(x.spent) + " of "
                              + std::to_string(parts_.settings.retry.max_attempts) + " (max_attempts)",
                            "the provider may have answered, and charged for it; ask again if that does no harm");
    why.attempts = std::move(x.records);
    return why;
  }

  template <class Encode>
  auto optimized(embedding_request&, Encode& encode, std::vector<std::string>&) {
    return encode();
  }

  template <class Encode>
  auto optimized(chat_request& x, Encode& encode, std::vector<std::string>& changes) {
    static const optimize::list none;
    auto& optimizers = parts_.optimizers;
    auto result =
      optimize_and_encode(optimizers.empty() ? none : optimizers[group_of(parts_.settings, x.model)], x, encode);
    changes = std::move(result.changes);
    metrics_.optimizers_failed(result.failed.size());
    if (!result.failed.empty())
      parts_.problem = "an optimizer failed: " + result.failed.back();
    return std::move(result.encoded);
  }

  static uint64_t raw_tokens(const chat_request& x) { return limits::token_estimator::raw(x); }

  static uint64_t raw_tokens(const embedding_request& x) {
    uint64_t sum = 0;
    for (auto& input : x.inputs)
      sum += limits::token_estimator::raw(input);
    return std::max<uint64_t>(sum, 1);
  }

  static std::optional<uint32_t> most_tokens(const chat_request& x) { return x.sampling.max_tokens; }
  static std::optional<uint32_t> most_tokens(const embedding_request&) { return 0; }

  limits::charge estimate(const std::string& model, std::optional<uint32_t> most, const live_request& live) const {
    auto& accounting = parts_.accounting[live.group];
    auto input = estimator_.estimate(model, live.raw_tokens);
    auto output = accounting.tokens == limits::token_accounting::produced ? estimator_.expected_output(model, most)
                                                                          : most.value_or(0);
    return limits::charge_for(accounting, input, output);
  }

  /// What is certain, by the sizes that the caller fixed: a good part of the prompt's text, and max_tokens where they
  /// count. Where a prompt cache makes prompts free, nothing is.
  template <class Request>
  limits::amounts least(const Request& x, const live_request& live) const {
    auto& accounting = parts_.accounting[live.group];
    if (accounting.tokens == limits::token_accounting::produced)
      return {1, 0, 0, 0};
    auto input = has_images(x) ? 0 : estimator_.least(x.model, live.raw_tokens);
    return limits::charge_for(accounting, input, most_tokens(x).value_or(0)).total();
  }

  /// Providers count them so differently that nothing is certain.
  static bool has_images(const chat_request& x) {
    return std::any_of(x.messages.begin(), x.messages.end(), [](auto& message) {
      return std::any_of(message.content.begin(), message.content.end(),
                         [](auto& part) { return std::holds_alternative<image_part>(part); });
    });
  }
  static bool has_images(const embedding_request&) { return false; }

  template <class Request>
  std::optional<time_point> deadline_of(const Request& x, time_point at) const {
    if (x.deadline)
      return after(at, *x.deadline);
    if (x.priority == priority::interactive && parts_.settings.deadline.count() > 0)
      return after(at, parts_.settings.deadline);
    return {};
  }

  template <class Request>
  caf::error refuse(const Request& x, failure why, bool counted = false) {
    refused_ += !counted;
    count();
    why.provider = parts_.settings.name;
    why.model = x.model;
    return caf::make_error(why.code, why);
  }

  // -- dispatching --------------------------------------------------------------

  /// Does what there is to do, then sees to the timer.
  void serve(time_point at) {
    while (auto step = dispatcher_.next(at))
      std::visit([&](auto& x) { carry_out(x, at); }, *step);
    wake_streams(at);
    if (drain_.expire(at))
      end_all(at);
    arm(at);
    count();
    if (at - shown_ >= show_interval)
      show(at);
  }

  void carry_out(dispatcher::dispatch& x, time_point at) {
    auto& live = live_.at(x.id);
    live.current = {};
    live.current.number = live.spent = x.number;
    live.current.lane = lane_name(parts_, x.group, x.key);
    live.current.waited = at - live.idle_since;
    live.current.waited_for = live.current.waited.count() > 0 ? x.waited_for : wait_reason::nothing;
    live.current.started = at - live.accepted;
    auto request = make_request(live, x);
    if (live.streamed) // its session has the transfer, as long as it lives
      live.transfer = streams_.at(x.id).is.session->begin(x.attempt, at, std::move(request));
    else
      live.transfer = fetch(*parts_.transport, std::move(request), caf::actor_cast<caf::actor>(self_), arrivals_,
                            x.attempt, [this] { take_in(); });
  }

  http::request make_request(live_request& live, const dispatcher::dispatch& x) {
    http::request out;
    out.url = parts_.base_url + live.encoded.path;
    out.headers = live.encoded.headers; // kept, because it may have to be sent again however often it was already
    out.body = live.encoded.body;
    for (auto* more : {&parts_.keys[x.key].headers, &parts_.headers})
      out.headers.insert(out.headers.end(), more->begin(), more->end());
    out.headers.push_back({"x-modelforge-request", to_string(x.id)});
    out.headers.push_back({"x-modelforge-attempt", std::to_string(x.number)});
    out.connect_timeout = parts_.settings.timeouts.connect;
    if (live.streamed) { // the session looks after the rest: bytes alone are no progress
      out.http2 = parts_.settings.stream.http2;
      out.compression = false;
    } else {
      out.idle_timeout = parts_.settings.timeouts.idle;
    }
    out.total_timeout = parts_.settings.timeouts.total;
    out.max_response_bytes = live.streamed ? UINT64_MAX : parts_.runtime.max_response_bytes;
    out.on_written = [attempt = x.attempt, clock = &self_->clock(), to = arrivals_] {
      to->put(written_attempt{attempt, clock->now()});
    };
    return out;
  }

  void carry_out(dispatcher::give_up& x, time_point at) {
    auto i = live_.find(x.id);
    auto& live = i->second;
    auto in_flight = x.attempt != 0;
    if (in_flight)
      abort(live);
    auto why = describe(x.why, parts_.dispatch, at - live.accepted, in_flight, live.last ? &*live.last : nullptr);
    if (in_flight)
      add_attempt(live, at, 0, why.code);
    fail(i, std::move(why));
  }

  void carry_out(dispatcher::save&, time_point) { write_journal(false); }

  // -- answering ----------------------------------------------------------------

  void take_written() {
    arrivals_->take_written(written_);
    for (auto& x : written_)
      dispatcher_.written(x.attempt, x.when);
  }

  void take_in() {
    auto at = now();
    take_written();
    for (auto& x : arrivals_->take_ended())
      settle(x.attempt, x.answer, read(x.attempt, x.answer), at);
    serve(at);
  }

  using outcome = std::variant<completion, embedding, failure>;

  static std::optional<token_usage> usage_of(const outcome& x) {
    auto* chat = std::get_if<completion>(&x);
    auto* vectors = std::get_if<embedding>(&x);
    return chat != nullptr ? chat->usage : vectors != nullptr ? vectors->usage : std::nullopt;
  }

  void settle(attempt_id attempt, const http::response& answer, outcome outcome, time_point at,
              const stream_report* streamed = nullptr) {
    auto* bad = std::get_if<failure>(&outcome);
    auto id = dispatcher_.request_of(attempt);
    auto i = live_.find(id);
    auto hints = dialect_of(i).hints(answer.head, bad);
    dispatcher::attempt_end end;
    end.told = hints.limits;
    auto& error = answer.end.error;
    end.written = !error || error->request_written || answer.head.status != 0;
    end.repeatable = streamed == nullptr || streamed->repeatable;
    if (bad != nullptr) {
      bad->http_status = answer.head.status;
      end.failed = retry::failed_attempt{.code = bad->code,
                                         .status = answer.head.status,
                                         .written = end.written,
                                         .refused = error && error->refused,
                                         .slow_down = hints.slow_down,
                                         .should_retry = hints.should_retry,
                                         .server_wait = bad->retry_after};
      if (retry::counts_against_provider(retry::meaning_of(*end.failed)))
        trouble_ = bad->message;
    } else if (i != live_.end()) {
      learn(i->second, usage_of(outcome), end);
    }
    auto settled = dispatcher_.end(attempt, end, at);
    if (i == live_.end())
      return;
    auto& live = i->second;
    live.transfer = 0;
    live.idle_since = at;
    add_attempt(live, at, answer.head.status, bad != nullptr ? bad->code : errc::none);
    if (auto* chat = std::get_if<completion>(&outcome))
      return complete(i, std::move(*chat), answer, at, streamed);
    if (auto* vectors = std::get_if<embedding>(&outcome))
      return complete(i, std::move(*vectors), answer, at);
    explain_end(*bad, settled);
    if (settled.then == dispatcher::settlement::what::again) {
      live.last = std::move(*bad);
      report(i->first, live, at);
    } else {
      fail(i, std::move(*bad));
    }
  }

  /// Tells an asker that may come again what it must not spend once more.
  void report(request_id id, const live_request& live, time_point at) {
    if (!live.reports || live.streamed) // a stream is not asked for again
      return;
    if (auto asker = caf::actor_cast<caf::strong_actor_ptr>(live.caller))
      tell(self_, caf::actor_cast<provider_actor>(asker), id, spent_on(live, at));
  }

  static attempts_made spent_on(const live_request& live, time_point at) {
    return {live.spent, at - live.accepted, live.attempts, false};
  }

  /// The asker is lost; its node may be back, and ask again.
  void keep_spent(live_map::iterator i, time_point at) {
    auto& live = i->second;
    if (!live.reports || live.spent == 0)
      return;
    auto x = spent_on(live, at);
    if (live.transfer != 0) {
      auto record = live.current;
      record.duration = at - live.accepted - record.started;
      record.result = errc::node_lost;
      x.records.push_back(std::move(record));
    }
    spent_.keep(i->first, std::move(x), at);
  }

  outcome read(attempt_id attempt, const http::response& answer) {
    if (answer.end.error)
      return describe(*answer.end.error);
    auto i = live_.find(dispatcher_.request_of(attempt));
    auto& dialect = dialect_of(i);
    if (i != live_.end() && i->second.inputs > 0)
      return widened(
        guarded<embedding>([&] { return dialect.decode_embedding(answer.head, answer.body, i->second.inputs); }));
    return widened(guarded<completion>([&] { return dialect.decode(answer.head, answer.body); }));
  }

  /// By which it was encoded; of one that nobody waits for any more, the provider's own.
  const wire::dialect& dialect_of(live_map::const_iterator i) const {
    return i != live_.end() ? *i->second.dialect : *parts_.dialects.front();
  }

  template <class T>
  static outcome widened(std::variant<T, failure> x) {
    return std::visit([](auto& y) -> outcome { return std::move(y); }, x);
  }

  /// Takes from a good answer what it teaches.
  void learn(const live_request& live, const std::optional<token_usage>& told, dispatcher::attempt_end& end) {
    if (!told)
      return;
    auto& usage = *told;
    estimator_.train(live.model, live.raw_tokens, usage.input);
    if (usage.output > 0)
      estimator_.train_output(live.model, usage.output);
    if (usage.input == 0 || (usage.output == 0 && live.inputs == 0))
      return; // no request and no answer is that short: it was not told, and what was reserved stays
    auto& accounting = live.accounting;
    auto counted = accounting.tokens == limits::token_accounting::produced
                     ? usage.input - std::min(usage.input, usage.cached_read)
                     : usage.input;
    end.real = limits::corrected(accounting, live.reserved, counted, usage.output);
    end.output_tokens = usage.output;
  }

  void complete(live_map::iterator i, completion x, const http::response& answer, time_point at,
                const stream_report* streamed) {
    auto& live = i->second;
    sign(x, i, answer, at);
    x.optimizations = std::move(live.optimizations);
    metrics_.answered(live.model, x.usage, x.timings,
                      streamed != nullptr ? std::optional{streamed->first_token} : std::nullopt);
    if (live.streamed)
      streams_.at(i->first).is.session->conclude(std::move(x));
    else
      std::get<0>(live.reply).deliver(std::move(x));
    forget(i);
  }

  void complete(live_map::iterator i, embedding x, const http::response& answer, time_point at) {
    auto& live = i->second;
    sign(x, i, answer, at);
    metrics_.answered(live.model, x.usage, x.timings, {});
    std::get<1>(live.reply).deliver(std::move(x));
    forget(i);
  }

  /// Adds what the provider actor knows of an answer.
  template <class Answer>
  void sign(Answer& x, live_map::iterator i, const http::response& answer, time_point at) {
    auto& live = i->second;
    mask(*parts_.secrets, x);
    x.id = i->first;
    x.provider = parts_.settings.name;
    if (x.model.empty())
      x.model = live.model;
    if (x.usage)
      x.cost = cost_of(parts_.settings, live.group, *x.usage);
    x.timings = {live.attempts.front().started, answer.end.times.first_byte, at - live.accepted};
    x.attempts = std::move(live.attempts);
    x.warnings.insert(x.warnings.begin(), live.encoded.warnings.begin(), live.encoded.warnings.end());
  }

  void add_attempt(live_request& live, time_point at, uint16_t status, errc result) {
    live.current.duration = at - live.accepted - live.current.started;
    live.current.http_status = status;
    live.current.result = result;
    if (live.attempts.size() >= most_records) // refusals that cost nothing; the first one tells when it all began
      live.attempts.erase(live.attempts.begin() + 1);
    live.attempts.push_back(std::move(live.current));
  }

  /// Answers a request with an error and forgets it.
  void fail(live_map::iterator i, failure why) {
    auto& live = i->second;
    why.provider = parts_.settings.name;
    why.model = live.model;
    mask(*parts_.secrets, why);
    if (!live.attempts.empty())
      why.lane = live.attempts.back().lane;
    why.attempts = std::move(live.attempts);
    metrics_.failed(live.model, why.code, now() - live.accepted);
    if (!live.streamed)
      std::visit([&](auto& reply) { reply.deliver(caf::make_error(why.code, why)); }, live.reply);
    else if (auto stream = streams_.find(i->first); stream != streams_.end())
      stream->second.is.session->conclude(std::move(why));
    forget(i);
  }

  void forget(live_map::iterator i) {
    auto& live = i->second;
    if (live.reports && live.spent > 1) // its answer may be lost on its way
      spent_.keep(i->first, {live.spent, now() - live.accepted, {}, false}, now());
    if (!live.streamed)
      callers_.remove(live.caller);
    live_.erase(i);
    end_drain();
  }

  /// A stream's session does so, too, if it still can.
  void abort(live_request& x) {
    if (x.transfer != 0)
      parts_.transport->cancel(std::exchange(x.transfer, 0));
  }

  // -- streams ------------------------------------------------------------------

  auto is_alarm() const {
    return [this](request_id id, time_point due) {
      auto i = streams_.find(id);
      return i != streams_.end() && i->second.alarm == due;
    };
  }

  void on_stream_news(request_id id, stream_news& x) override {
    auto at = now();
    take_written();
    if (x.begun)
      dispatcher_.begun(*x.begun, at); // the breaker may close
    if (x.ended)
      settle(x.ended->attempt, x.ended->answer,
             x.ended->outcome ? widened(std::move(*x.ended->outcome)) : read(x.ended->attempt, x.ended->answer), at,
             &*x.ended);
    if (x.alarm)
      set_alarm(id, *x.alarm);
    if (x.withdrawn) {
      if (auto i = live_.find(id); i != live_.end())
        keep_spent(i, at);
      withdraw(id, *x.withdrawn, at);
    }
    if (x.gone)
      remove_stream(id);
    serve(at);
  }

  /// Of a stream that was withdrawn or killed: its charge and slot are settled by what the transport tells.
  void on_stream_lost(uint64_t attempt, bool written) override {
    auto at = now();
    take_written();
    dispatcher_.end(attempt,
                    {.failed = retry::failed_attempt{.code = errc::cancelled, .written = written},
                     .written = written,
                     .repeatable = false},
                    at);
    serve(at);
  }

  void set_alarm(request_id id, time_point when) {
    auto i = streams_.find(id);
    if (i == streams_.end())
      return;
    i->second.alarm = when;
    alarms_.push(when, id);
  }

  void remove_stream(request_id id) {
    auto i = streams_.find(id);
    if (i == streams_.end())
      return;
    callers_.remove(i->second.who);
    streams_.erase(i);
    alarms_.tidy(streams_.size(), is_alarm());
    end_drain();
  }

  std::optional<time_point> next_alarm() { return alarms_.earliest(is_alarm()); }

  void wake_streams(time_point at) {
    for (auto due = next_alarm(); due && *due <= at; due = next_alarm()) {
      auto& x = streams_.at(alarms_.take());
      x.alarm.reset();
      x.is.session->wake();
    }
  }

  // -- taking back ----------------------------------------------------------------

  void withdraw(live_map::iterator i, const std::string& why, time_point at) {
    auto& live = i->second;
    if (dispatcher_.withdraw(i->first, at).value_or(0) != 0) {
      abort(live);
      add_attempt(live, at, 0, errc::cancelled);
    }
    fail(i, make_failure(errc::cancelled, why));
  }

  void cancel(request_id id) {
    if (auto i = splits_.find(id); i != splits_.end()) {
      if (auto split = caf::actor_cast<embedding_split_actor>(i->second))
        tell(self_, split, cancel_atom_v);
      splits_.erase(i);
    }
    auto at = now();
    take_written();
    withdraw(id, "cancelled by the caller", at);
    if (auto i = streams_.find(id); i != streams_.end()) // subscribers may still be behind
      i->second.is.session->cut(make_failure(errc::cancelled, "cancelled by the caller"));
    serve(at);
  }

  void withdraw(request_id id, const std::string& why, time_point at) {
    if (auto i = live_.find(id); i != live_.end())
      withdraw(i, why, at);
  }

  /// Nobody is there to take the answers: nothing of this caller's goes on.
  void on_death(const caf::actor_addr& who) {
    auto at = now();
    take_written();
    guests_.erase(who);
    std::vector<request_id> ids;
    for (auto& [id, x] : live_)
      if (x.caller == who)
        ids.push_back(id);
    for (auto i = streams_.begin(); i != streams_.end();)
      if (i->second.who == who) {
        i->second.is.session->bury();
        i = streams_.erase(i);
      } else {
        ++i;
      }
    for (auto id : ids) {
      keep_spent(live_.find(id), at);
      withdraw(live_.find(id), "its caller has ended", at);
    }
    end_drain();
    serve(at);
  }

  void end_all(time_point at) {
    std::vector<request_id> ids;
    for (auto& [id, x] : live_)
      ids.push_back(id);
    const std::string why = "the provider is shutting down and its grace period is over";
    for (auto id : ids)
      withdraw(live_.find(id), why, at);
    for (auto& [id, x] : streams_)
      x.is.session->cut(make_failure(errc::cancelled, why));
  }

  // -- jobs of the provider's batch API ---------------------------------------------

  /// Beside the gate: providers count them apart.
  caf::result<batch_job_actor> accept_job(batch_job_request& x, const batch_job_listener_actor& to) {
    auto prepared = guarded<batch_job_parts>([&]() -> std::variant<batch_job_parts, failure> {
      if (drain_.is_on())
        return make_failure(errc::draining, "the provider is shutting down");
      return prepare_job(parts_, x);
    });
    if (auto* why = std::get_if<failure>(&prepared)) {
      why->provider = parts_.settings.name;
      return caf::make_error(why->code, *why);
    }
    return spawn_batch_job(self_->system(), std::move(std::get<batch_job_parts>(prepared)), to,
                           caf::actor_cast<provider_actor>(self_));
  }

  // -- models -------------------------------------------------------------------

  /// One attempt beside the gate: it asks for no answer of a model, and providers do not count it.
  caf::result<model_list> list_models() {
    http::request out;
    out.method = "GET";
    out.url = parts_.base_url + std::string{parts_.dialects.front()->models_path()};
    for (auto* more : {&parts_.keys.front().headers, &parts_.headers})
      out.headers.insert(out.headers.end(), more->begin(), more->end());
    out.connect_timeout = parts_.settings.timeouts.connect;
    out.total_timeout = list_timeout;
    auto reply = self_->make_response_promise<model_list>();
    auto number = ++asked_for_models_;
    model_lists_.emplace(number, reply);
    fetch(*parts_.transport, std::move(out), caf::actor_cast<caf::actor>(self_),
          [this, number](const http::response& x) { tell_models(number, x); });
    return reply;
  }

  void tell_models(uint64_t number, const http::response& answer) {
    auto reply = std::move(model_lists_.extract(number).mapped());
    auto result = guarded<model_list>([&]() -> std::variant<model_list, failure> {
      if (answer.end.error)
        return describe(*answer.end.error);
      return parts_.dialects.front()->decode_models(answer.head, answer.body);
    });
    if (auto* good = std::get_if<model_list>(&result)) {
      mask_whole(*parts_.secrets, *good);
      good->provider = parts_.settings.name;
      return reply.deliver(std::move(*good));
    }
    auto& why = std::get<failure>(result);
    why.provider = parts_.settings.name;
    mask(*parts_.secrets, why);
    reply.deliver(caf::make_error(why.code, why));
  }

  // -- time ---------------------------------------------------------------------

  void arm(time_point at) {
    timer_.arm(timer::earlier_of(timer::earlier_of(dispatcher_.wake_at(at), drain_.wake_at()), next_alarm()));
  }

  void on_time() {
    auto at = now();
    take_written();
    serve(at);
  }

  // -- across a restart -----------------------------------------------------------

  void take_over() {
    if (parts_.settings.rate_limit.on_start == window_start::full)
      dispatcher_.fill_windows(now());
    dispatcher_.keep_journal(parts_.limits_journal.has_value());
    if (auto left = parts_.legacy ? parts_.legacy->take() : std::nullopt)
      return restore(left->lanes, now() - left->left);
    if (!parts_.limits_journal)
      return;
    if (auto kept = parts_.limits_journal->read(parts_.base_url);
        kept && parts_.settings.rate_limit.on_start == window_start::restore)
      restore(kept->lanes, journal::wall_clock::now() - kept->written);
  }

  /// What a lane had goes to the one of its name. Where the settings have other groups of models now, nobody knows
  /// which of a key's lanes its models belong to: it counts for each that may have them.
  void restore(const std::vector<journal::lane>& kept, limits::duration age) {
    std::set<std::string> now_there, before;
    for (auto& [group, key] : lanes())
      now_there.insert(lane_name(parts_, group, key));
    for (auto& x : kept)
      before.insert(x.name);
    std::vector<dispatcher::journal_lane> result;
    for (auto& [group, key] : lanes()) {
      auto name = lane_name(parts_, group, key);
      auto& of_key = parts_.keys[key].name;
      for (auto& x : kept) {
        auto same_key = x.name == of_key || x.name.starts_with(of_key + "/");
        if (x.name == name || (same_key && (now_there.count(x.name) == 0 || before.count(name) == 0))) {
          result.push_back(x.is);
          result.back().group = group;
          result.back().key = key;
        }
      }
    }
    dispatcher_.restore(result, age, now());
  }

  /// Those that are in use, by group and key.
  std::vector<std::pair<uint32_t, uint32_t>> lanes() const {
    std::vector<std::pair<uint32_t, uint32_t>> result;
    for (uint32_t group = 0; group < dispatcher_.groups(); ++group)
      for (uint32_t key = 0; key < dispatcher_.keys() && limited_as(parts_.settings, group) == group; ++key)
        result.emplace_back(group, key);
    return result;
  }

  void write_journal(bool last) {
    if (!parts_.limits_journal)
      return;
    journal::content x{journal::wall_clock::now(), used_of_limits(last)};
    if (auto problem = parts_.limits_journal->write(parts_.base_url, x))
      parts_.problem = std::move(*problem);
  }

  std::vector<journal::lane> used_of_limits(bool last) {
    std::vector<journal::lane> result;
    for (auto& lane : dispatcher_.journal(now(), last))
      result.push_back({lane_name(parts_, lane.group, lane.key), lane});
    return result;
  }

  // -- status and shutdown ------------------------------------------------------

  void count() { metrics_.count(dispatcher_.counts(), dispatcher_.state(), refused_); }

  provider_status show(time_point at) {
    auto x = describe_state(at);
    metrics_.show(x);
    shown_ = at;
    return x;
  }

  provider_status status() {
    auto at = now();
    take_written();
    count();
    return show(at);
  }

  provider_status describe_state(time_point at) {
    provider_status x;
    x.name = parts_.settings.name;
    x.kind = to_string(parts_.settings.kind);
    x.base_url = parts_.base_url;
    x.max_concurrent = parts_.settings.max_concurrent;
    auto queue = dispatcher_.state();
    x.queued = queue.queued[0] + queue.queued[1];
    x.queued_batch = queue.queued[1];
    x.queued_bytes = queue.queued_bytes;
    x.waiting = queue.waiting;
    if (auto next = dispatcher_.next_try(at); next && queue.queued[0] + queue.queued[1] + queue.waiting > 0)
      x.next_retry = *next - at;
    x.in_flight = queue.in_flight;
    x.predicted_wait = dispatcher_.predicted_wait(0, priority::interactive, at);
    auto& counts = dispatcher_.counts();
    x.answered = counts.answered;
    x.failed = counts.failed + refused_;
    x.late = counts.late;
    x.attempts = counts.attempts;
    for (std::size_t i = 0; i < counts.retries.size(); ++i)
      if (counts.retries[i] > 0)
        x.retries[to_string(static_cast<retry::meaning>(i))] = counts.retries[i];
    for (std::size_t i = 0; i < counts.refused.size(); ++i)
      if (counts.refused[i] > 0)
        x.refusals[to_string(static_cast<dispatcher::reason>(i))] = counts.refused[i];
    x.draining = drain_.is_on();
    x.problem = parts_.problem;
    auto fails = false;
    for (auto& [group, key] : lanes()) {
      x.lanes.push_back(lane_of(group, key, at));
      fails = fails || dispatcher_.lane_of(group, key).breaker().current(at) != limits::circuit_breaker::state::closed;
    }
    if (fails && x.problem.empty()) {
      auto why = make_failure(errc::none, trouble_);
      mask(*parts_.secrets, why);
      x.problem = std::move(why.message);
    }
    return x;
  }

  lane_status lane_of(uint32_t group, uint32_t key, time_point at) {
    auto& lane = dispatcher_.lane_of(group, key);
    lane_status x;
    x.name = lane_name(parts_, group, key);
    x.breaker = to_string(lane.breaker().current(at));
    x.breaker_openings = lane.breaker().openings();
    x.slots = lane.slots();
    x.in_flight = lane.in_flight();
    if (lane.paused_until() > at)
      x.paused_for = lane.paused_until() - at;
    x.out = lane.is_out(at);
    constexpr std::array<const char*, 4> names = {"requests", "tokens", "input_tokens", "output_tokens"};
    auto live = lane.limiter().live(at);
    for (std::size_t i = 0; i < names.size(); ++i)
      if (auto limit = lane.limit(static_cast<limits::dimension>(i)))
        x.limits.push_back({names[i], *limit, live[i]});
    for (auto& told : lane.told(at))
      x.limits.push_back({std::string{names[static_cast<std::size_t>(told.of)]} + " of " + std::string{told.model},
                          told.limit, told.used});
    return x;
  }

  caf::result<void> drain(caf::timespan grace) {
    dispatcher_.drain();
    auto reply = drain_.begin(self_, grace, live_.empty() && streams_.empty());
    arm(now());
    return reply;
  }

  /// It was to end, and is wanted again.
  void resume() {
    dispatcher_.resume();
    drain_.revoke();
  }

  void end_drain() {
    if (live_.empty() && streams_.empty())
      drain_.finish();
  }

  provider_actor::pointer self_;
  provider_parts parts_;
  dispatcher dispatcher_;
  std::vector<secret> credentials_; ///< All that it has had, by the dispatcher's numbers.
  provider_metrics metrics_;
  time_point shown_{}; ///< When the metrics that are dear to find out were last.
  limits::token_estimator estimator_;
  callers<std::remove_pointer_t<provider_actor::pointer>> callers_;
  std::mt19937_64 random_;
  live_map live_;
  std::unordered_map<request_id, live_stream> streams_;
  retry::due_queue alarms_;                                                           ///< Of streams.
  std::unordered_map<uint64_t, caf::typed_response_promise<model_list>> model_lists_; ///< Those that are being fetched.
  uint64_t asked_for_models_ = 0;
  std::unordered_map<request_id, caf::weak_actor_ptr> splits_; ///< Of requests for many embeddings; some have ended.
  std::unordered_map<caf::actor_addr, std::string> guests_;    ///< Who asks for which other node.
  node::spent_attempts spent_;                                 ///< On what nodes asked for that were lost.
  std::shared_ptr<arrivals> arrivals_ = std::make_shared<arrivals>();
  std::vector<written_attempt> written_;
  timer timer_{self_, [this] { on_time(); }};
  drain_period drain_;
  uint64_t refused_ = 0; ///< Before the dispatcher saw them.
  std::string trouble_;  ///< How an attempt last failed for reasons of the provider's.
};

} // namespace

std::variant<provider_actor, failure> spawn_provider(caf::actor_system& system, const provider_settings& provider,
                                                     const runtime_settings& runtime,
                                                     std::shared_ptr<http::client> transport) {
  auto parts = prepare_provider(provider, runtime);
  auto* problem = std::get_if<failure>(&parts);
  std::optional<failure> unkept;
  if (problem == nullptr && (unkept = open_journal(std::get<provider_parts>(parts))))
    problem = &*unkept;
  if (problem != nullptr) {
    problem->provider = provider.name;
    return std::move(*problem);
  }
  return spawn_controlled_provider(system, std::move(std::get<provider_parts>(parts)), std::move(transport)).actor;
}

controlled_provider spawn_controlled_provider(caf::actor_system& system, provider_parts parts,
                                              std::shared_ptr<http::client> transport) {
  parts.transport = std::move(transport);
  provider_state* state = nullptr;
  controlled_provider result;
  result.actor = system.spawn<provider_actor::stateful_impl<provider_state>>(std::move(parts), &state);
  auto to = caf::actor_cast<caf::weak_actor_ptr>(result.actor);
  result.reconfigure = [to, state](provider_parts fresh) {
    post_if_alive(
      to, [state, x = std::make_shared<provider_parts>(std::move(fresh))] { state->reconfigure(std::move(*x)); });
  };
  result.keep_journal = [to, state] { post_if_alive(to, [state] { state->keep_journal(); }); };
  result.admit = [to, state](const caf::strong_actor_ptr& who, std::string node) {
    post_if_alive(to, [state, who, node = std::move(node)] { state->admit(who, node); });
  };
  return result;
}

} // namespace modelforge
