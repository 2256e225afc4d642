#include <modelforge/actors/provider.hpp>

#include "actors/support/mail.hpp"
#include "http/client.hpp"
#include "limits/admission.hpp"
#include "wire/dialect.hpp"

#include <modelforge/config/secret.hpp>

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <random>
#include <set>
#include <unordered_map>

namespace modelforge {

namespace {

using time_point = admission::time_point;

/// What a provider actor is made of, checked and ready.
struct provider_parts {
  provider_settings settings;
  runtime_settings runtime;
  const wire::dialect* dialect = nullptr;
  std::string base_url;
  std::string lane;                  ///< Name of the credential in use.
  std::vector<http::header> headers; ///< Credential and configured ones; secret.
  std::shared_ptr<http::client> transport;
};

failure make_failure(errc code, std::string message, std::string suggestion = {}) {
  failure x;
  x.code = code;
  x.message = std::move(message);
  x.suggestion = std::move(suggestion);
  return x;
}

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

/// What a person can do about a transfer that failed.
std::string suggestion_for(const http::transfer_error& x) {
  switch (x.code) {
    case errc::resolve_failed:
      return "is base_url right, and is the network up?";
    case errc::connect_failed:
      return "is the server running at base_url, and does a proxy stand between?";
    case errc::tls_failed:
      return "does base_url need http:// instead of https://, or a CA bundle (SSL_CERT_FILE)?";
    case errc::attempt_timeout:
      return x.phase <= http::phase::tls ? "raise timeouts.connect if the network is that slow"
                                         : "raise timeouts.total (or timeouts.idle), or ask for a shorter answer";
    case errc::response_too_large:
      return "raise runtime.max_response_bytes if such answers are meant";
    default:
      return {};
  }
}

/// The end of one attempt, on its way into the actor.
struct ended_attempt {
  request_id id;
  uint64_t attempt = 0;
  http::response answer;
};

/// Where the transport's thread leaves what has ended. The actor gets one message for all that comes before it looks:
/// at full load that is far fewer than one per answer.
class arrivals {
public:
  /// Returns true if the actor has to be told.
  bool put(ended_attempt x) {
    std::lock_guard guard{mutex_};
    waiting_.push_back(std::move(x));
    return waiting_.size() == 1;
  }

  std::vector<ended_attempt> take() {
    std::lock_guard guard{mutex_};
    return std::exchange(waiting_, {});
  }

private:
  std::mutex mutex_;
  std::vector<ended_attempt> waiting_;
};

/// Holds one provider's queue and the transfers that are under way.
class provider_state {
public:
  static inline const char* name = "provider";

  provider_state(provider_actor::pointer self, provider_parts parts)
    : self_(self), parts_(std::move(parts)),
      admission_({parts_.settings.max_concurrent, parts_.settings.interactive_slots, parts_.runtime.max_queued,
                  parts_.runtime.max_queued_bytes}),
      random_(std::random_device{}()) {}

  /// Nobody is left to take the answers of what still runs: stop it. (No message is sent from here.)
  ~provider_state() {
    for (auto& [id, x] : live_)
      if (x.transfer != 0)
        parts_.transport->cancel(x.transfer);
  }

  provider_actor::behavior_type make_behavior() {
    return {
      [this](chat_request& x) { return accept(x); },
      [this](cancel_atom, request_id id) { cancel(id); },
      [this](status_atom) { return status(); },
      [this](drain_atom, caf::timespan grace) { return drain(grace); },
    };
  }

private:
  struct live_request {
    caf::typed_response_promise<completion> reply;
    std::string model;
    wire::encoded_request encoded; ///< Body and headers have left once it is dispatched.
    time_point accepted;
    time_point dispatched{};
    uint64_t attempt = 0;           ///< Of all this actor's attempts; 0 while queued.
    http::transfer_id transfer = 0; ///< 0 while queued.
  };

  // -- accepting ----------------------------------------------------------------

  caf::result<completion> accept(chat_request& x) {
    auto now = self_->clock().now();
    if (!x.id)
      x.id = make_request_id(random_);
    if (x.model.empty())
      x.model = parts_.settings.default_model;
    if (draining_)
      return refuse(x, make_failure(errc::draining, "the provider is shutting down and takes nothing new"));
    if (x.model.empty())
      return refuse(x, make_failure(errc::invalid_request, "the request names no model",
                                    "name one, or set default_model for this provider"));
    if (x.deadline && x.deadline->count() <= 0)
      return refuse(x, make_failure(errc::deadline_exceeded, "its deadline had passed when the request arrived"));
    auto encoded = guarded<wire::encoded_request>([&] { return parts_.dialect->encode(x); });
    if (auto* problem = std::get_if<failure>(&encoded))
      return refuse(x, std::move(*problem));

    auto& request = std::get<wire::encoded_request>(encoded);
    switch (admission_.offer(x.id, x.priority, request.body.size(), deadline_of(x, now))) {
      case admission::verdict::duplicate:
        return refuse(x, make_failure(errc::duplicate_request, "a request with this id is being answered already"));
      case admission::verdict::too_large:
        return refuse(x, make_failure(errc::too_large, "the request's " + std::to_string(request.body.size())
                                                         + " bytes are more than runtime.max_queued_bytes allows"));
      case admission::verdict::full:
        return refuse(x, make_failure(errc::queue_full, std::to_string(parts_.runtime.max_queued)
                                                          + " requests are waiting already (runtime.max_queued)"));
      case admission::verdict::full_bytes:
        return refuse(
          x, make_failure(errc::queue_full, "the waiting requests fill their memory (runtime.max_queued_bytes)"));
      case admission::verdict::queued:
        break;
    }
    auto reply = self_->make_response_promise<completion>();
    live_.emplace(x.id, live_request{reply, std::move(x.model), std::move(request), now});
    serve(now);
    return reply;
  }

  std::optional<time_point> deadline_of(const chat_request& x, time_point now) const {
    if (x.deadline)
      return after(now, *x.deadline);
    if (x.priority == priority::interactive && parts_.settings.deadline.count() > 0)
      return after(now, parts_.settings.deadline);
    return {};
  }

  caf::error refuse(const chat_request& x, failure why) {
    ++failed_;
    why.provider = parts_.settings.name;
    why.model = x.model;
    return caf::make_error(why.code, why);
  }

  // -- dispatching --------------------------------------------------------------

  /// Ends what is over, sends whatever may be sent now, then sees to the timer.
  void serve(time_point now) {
    expire(now);
    while (auto id = admission_.next())
      dispatch(*id, now);
    arm();
  }

  void dispatch(request_id id, time_point now) {
    auto& x = live_.at(id);
    x.dispatched = now;
    x.attempt = ++attempts_;
    http::request out;
    out.url = parts_.base_url + x.encoded.path;
    out.headers = std::move(x.encoded.headers);
    out.headers.insert(out.headers.end(), parts_.headers.begin(), parts_.headers.end());
    out.headers.push_back({"x-modelforge-request", to_string(id)});
    out.headers.push_back({"x-modelforge-attempt", "1"});
    out.body = std::move(x.encoded.body);
    out.connect_timeout = parts_.settings.timeouts.connect;
    out.idle_timeout = parts_.settings.timeouts.idle;
    out.total_timeout = parts_.settings.timeouts.total;
    out.max_response_bytes = parts_.runtime.max_response_bytes;
    // The callback holds the actor, so that it outlives its transfers; `this` is used inside the actor only.
    auto self = caf::actor_cast<caf::actor>(self_);
    auto done = [this, id, attempt = x.attempt, self, to = arrivals_](http::response answer) {
      if (to->put({id, attempt, std::move(answer)}))
        post(self, [this] { take_in(); });
    };
    x.transfer = parts_.transport->fetch(std::move(out), std::move(done));
  }

  // -- answering ----------------------------------------------------------------

  void take_in() {
    auto now = self_->clock().now();
    for (auto& x : arrivals_->take())
      settle(x.id, x.attempt, x.answer, now);
    serve(now);
  }

  /// Answers the request whose attempt has ended, unless it was given up before.
  void settle(request_id id, uint64_t attempt, const http::response& answer, time_point now) {
    auto i = live_.find(id);
    if (i == live_.end() || i->second.attempt != attempt)
      return;
    auto& x = i->second;
    auto outcome = read(answer);
    if (auto* good = std::get_if<completion>(&outcome)) {
      ++answered_;
      good->id = id;
      good->provider = parts_.settings.name;
      if (good->model.empty())
        good->model = x.model;
      good->attempts.push_back(record(x, now, answer.head.status, errc::none));
      good->timings = {x.dispatched - x.accepted, answer.end.times.first_byte, now - x.accepted};
      good->warnings.insert(good->warnings.begin(), x.encoded.warnings.begin(), x.encoded.warnings.end());
      x.reply.deliver(std::move(*good));
      forget(i);
    } else {
      auto& why = std::get<failure>(outcome);
      why.http_status = answer.head.status;
      fail(i, std::move(why), now);
    }
  }

  std::variant<completion, failure> read(const http::response& answer) const {
    if (!answer.end.error)
      return guarded<completion>([&] { return parts_.dialect->decode(answer.head, answer.body); });
    auto& error = *answer.end.error;
    return make_failure(error.code, error.message, suggestion_for(error));
  }

  attempt_record record(const live_request& x, time_point now, uint16_t status, errc result) const {
    attempt_record y;
    y.lane = parts_.lane;
    y.waited = y.started = x.dispatched - x.accepted;
    y.waited_for = y.waited.count() > 0 ? wait_reason::slot : wait_reason::nothing;
    y.duration = now - x.dispatched;
    y.http_status = status;
    y.result = result;
    return y;
  }

  using live_map = std::unordered_map<request_id, live_request>;

  /// Answers a request with an error and forgets it.
  void fail(live_map::iterator i, failure why, time_point now) {
    auto& x = i->second;
    ++failed_;
    why.provider = parts_.settings.name;
    why.model = x.model;
    why.provider_message = redact(std::move(why.provider_message));
    if (x.attempt != 0) {
      why.lane = parts_.lane;
      why.attempts.push_back(record(x, now, why.http_status, why.code));
    }
    x.reply.deliver(caf::make_error(why.code, why));
    forget(i);
  }

  void forget(live_map::iterator i) {
    admission_.remove(i->first);
    live_.erase(i);
    if (live_.empty())
      end_drain();
  }

  /// Ends a request that has no answer yet, wherever it stands. Nothing is sent in its place before `serve`.
  void give_up(request_id id, errc code, std::string message, time_point now) {
    auto i = live_.find(id);
    if (i == live_.end())
      return;
    if (i->second.transfer != 0)
      parts_.transport->cancel(i->second.transfer);
    fail(i, make_failure(code, std::move(message)), now);
  }

  void cancel(request_id id) {
    auto now = self_->clock().now();
    give_up(id, errc::cancelled, "cancelled by the caller", now);
    serve(now);
  }

  // -- time ---------------------------------------------------------------------

  /// Ends what has passed its deadline, and all there is when a drain's grace period is over.
  void expire(time_point now) {
    for (auto id : admission_.expired(now)) {
      auto& x = live_.at(id);
      auto waited = std::chrono::duration<double>(now - x.accepted).count();
      give_up(id, errc::deadline_exceeded,
              "no answer within the request's deadline (" + std::to_string(waited).substr(0, 5) + " s, "
                + (x.attempt == 0 ? "waiting for a free slot" : "waiting for the provider") + ")",
              now);
    }
    if (draining_ && drain_end_ <= now)
      for (auto id : admission_.all())
        give_up(id, errc::cancelled, "the provider is shutting down and its grace period is over", now);
  }

  /// Has the actor woken at or before the next deadline. A wake-up once set stays: there is another one only for an
  /// earlier deadline, so that a request costs no timer of its own.
  void arm() {
    auto next = admission_.earliest_deadline();
    if (!drains_.empty() && (!next || drain_end_ < *next))
      next = drain_end_;
    if (!next || (!wake_ups_.empty() && *wake_ups_.begin() <= *next))
      return;
    wake_ups_.insert(*next);
    run_at(self_, *next, [this] { on_time(); });
  }

  void on_time() {
    auto now = self_->clock().now();
    wake_ups_.erase(wake_ups_.begin(), wake_ups_.upper_bound(now));
    serve(now);
  }

  // -- status and shutdown ------------------------------------------------------

  provider_status status() const {
    provider_status x;
    x.name = parts_.settings.name;
    x.kind = to_string(parts_.settings.kind);
    x.base_url = parts_.base_url;
    x.max_concurrent = parts_.settings.max_concurrent;
    x.queued = admission_.queued();
    x.queued_bytes = admission_.queued_bytes();
    x.in_flight = admission_.in_flight();
    x.answered = answered_;
    x.failed = failed_;
    x.attempts = attempts_;
    x.draining = draining_;
    return x;
  }

  caf::result<void> drain(caf::timespan grace) {
    auto until = after(self_->clock().now(), grace);
    drain_end_ = draining_ ? std::min(drain_end_, until) : until;
    draining_ = true;
    if (live_.empty())
      return caf::unit;
    auto reply = self_->make_response_promise<void>();
    drains_.push_back(reply);
    arm();
    return reply;
  }

  void end_drain() {
    for (auto& x : drains_)
      x.deliver();
    drains_.clear();
  }

  provider_actor::pointer self_;
  provider_parts parts_;
  admission admission_;
  std::mt19937_64 random_;
  live_map live_;
  std::shared_ptr<arrivals> arrivals_ = std::make_shared<arrivals>();
  std::set<time_point> wake_ups_; ///< Those that are set and have not come.
  bool draining_ = false;
  time_point drain_end_{};
  std::vector<caf::typed_response_promise<void>> drains_;
  uint64_t attempts_ = 0;
  uint64_t answered_ = 0;
  uint64_t failed_ = 0;
};

// -- starting -------------------------------------------------------------------

std::optional<failure> add_configured_headers(const provider_settings& x, std::vector<http::header>& headers) {
  for (auto& header : x.headers) {
    auto value = header.value;
    if (!header.env.empty()) {
      auto* text = std::getenv(header.env.c_str());
      if (text == nullptr)
        return make_failure(errc::configuration, "the environment variable " + header.env + " is not set",
                            "it holds the value of header " + header.name);
      value = text;
    }
    headers.push_back({header.name, value});
  }
  return {};
}

std::variant<provider_parts, failure> prepare(const provider_settings& x) {
  provider_parts parts;
  if (x.interactive_slots >= x.max_concurrent) // batch items would wait for ever
    return make_failure(errc::configuration, "interactive_slots must be less than max_concurrent");
  parts.settings = x;
  parts.dialect = wire::find_dialect(name_of(x.kind));
  if (parts.dialect == nullptr)
    return make_failure(errc::configuration, "kind \"" + to_string(x.kind) + "\" is not spoken yet",
                        "this version speaks openai and openai_compatible");
  parts.base_url = x.base_url.empty() ? std::string{parts.dialect->default_base_url()} : x.base_url;
  if (parts.base_url.empty())
    return make_failure(errc::configuration, "base_url is not set", "this kind has no public address of its own");
  if (!x.keys.empty()) {
    auto key = resolve(x.keys.front());
    if (auto* problem = std::get_if<std::string>(&key))
      return make_failure(errc::configuration, *problem);
    parts.headers.push_back(parts.dialect->authorize(std::get<secret>(key).reveal()));
    parts.lane = x.keys.front().name;
  }
  if (parts.lane.empty())
    parts.lane = "default";
  if (auto problem = add_configured_headers(x, parts.headers))
    return std::move(*problem);
  return parts;
}

} // namespace

std::variant<provider_actor, failure> spawn_provider(caf::actor_system& system, const provider_settings& provider,
                                                     const runtime_settings& runtime,
                                                     std::shared_ptr<http::client> transport) {
  auto parts = prepare(provider);
  if (auto* problem = std::get_if<failure>(&parts)) {
    problem->provider = provider.name;
    return std::move(*problem);
  }
  auto& ready = std::get<provider_parts>(parts);
  ready.runtime = runtime;
  ready.transport = std::move(transport);
  return system.spawn<provider_actor::stateful_impl<provider_state>>(std::move(ready));
}

} // namespace modelforge
