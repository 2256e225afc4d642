#include <modelforge/actors/provider.hpp>

#include "actors/batch_job.hpp"
#include "actors/embedding_split.hpp"
#include "actors/model_lists.hpp"
#include "actors/provider_client.hpp"
#include "actors/provider_control.hpp"
#include "actors/provider_metrics.hpp"
#include "actors/stream_session.hpp"
#include "actors/stream_sessions.hpp"
#include "actors/support/callers.hpp"
#include "actors/support/drain.hpp"
#include "actors/support/error_of.hpp"
#include "actors/support/fetch.hpp"
#include "actors/support/mail.hpp"
#include "actors/support/random.hpp"
#include "actors/support/timer.hpp"
#include "log/logger.hpp"
#include "provider/engine.hpp"
#include "provider/guarded.hpp"
#include "provider/model_groups.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace modelforge {

namespace {

using provider::attempt_id;
using provider::time_point;

std::chrono::system_clock::time_point wall_now() {
  return journal::wall_clock::now();
}

template <class Request>
void tell_content(log::logger& log, const std::string& provider, const Request& request) {
  log.write(log::entry{log::event::request_content}
              .with(log::field::request, to_string(request.id))
              .with(log::field::provider, provider)
              .with(log::field::prompt, provider::prompt_text(request)));
}

/// A provider: tells its engine what happens, and carries out what that decides. Its own are the promises, the
/// transport, the streams' sessions, deaths and the drain.
///
/// Each message is one turn: `begin_turn` takes in what was sent meanwhile, the engine hears what has happened, and
/// `serve` carries out its steps until there are none, sets the timer and writes the counts. Between turns `clients_`
/// has exactly the requests that the engine has not concluded, streams among them, so a step always finds who waits.
/// Everything runs inside the actor: the transport's thread leaves answers in `arrivals_`, and what sessions report and
/// its own program asks for (`stream_owner`, `provider_control`) comes by way of `state_handle`.
class provider_state : public stream_owner, public provider_control {
public:
  static inline const char* name = "provider";

  provider_state(provider_actor::pointer self, provider_start start, std::shared_ptr<http::client> transport)
    : self_(self), transport_(std::move(transport)), log_(std::move(start.log)), traces_(std::move(start.traces)),
      engine_(std::move(start.setup), std::move(start.limits), std::move(start.problem), random_number(), now(),
              wall_now()),
      metrics_(self->system().metrics(), settings().name, std::string{engine_.current().vendor}),
      callers_(self, [this](const caf::actor_addr& who, const caf::error&) { on_death(who); }) {}

  /// Nobody is left to take the answers of what still runs: stop it. (No message is sent from here.)
  ~provider_state() override {
    for (auto& [id, client] : clients_)
      if (auto* request = engine_.find(id); request == nullptr || request->under_way)
        transport_->cancel(client.transfer);
    try {
      engine_.leave(now(), wall_now());
      engine_.withdraw_all("the provider has ended", now()); // so that the log has them
      tell_logs();
    } catch (...) { // what ended it may be what is missing here, too, as memory: the log lacks lines then
    }
  }

  provider_actor::behavior_type make_behavior() {
    return {
      [this](chat_request& x) { return on_chat(x); },
      [this](stream_request& x, const stream_subscriber_actor& to) { return on_stream(x, to); },
      [this](embedding_request& x) { return on_embedding(x); },
      [this](batch_job_request& x, const batch_job_listener_actor& to) { return on_job(x, to); },
      [this](models_atom) { return model_lists_.ask(); },
      [this](cancel_atom, request_id id) { cancel(id); },
      [this](status_atom) { return status(); },
      [this](drain_atom, caf::timespan grace) { return drain(grace); },
      [](const request_id&, const attempts_made&) {}, // it gives none on
      [](received_atom, uint64_t) {},
    };
  }

  // -- what its own program tells it --------------------------------------------------

  void reconfigure(provider::setup fresh) override {
    auto at = begin_turn();
    engine_.reconfigure(std::move(fresh), at);
    drain_.revoke(); // it was to end, and is wanted again
    serve(at);
  }

  void open_journal() override { engine_.open_journal(); }

  void add_guest(const caf::strong_actor_ptr& who, std::string node) override {
    guests_.insert_or_assign(callers_.add(who), std::move(node));
  }

private:
  time_point now() const { return self_->clock().now(); }
  const provider_settings& settings() const { return engine_.current().settings; }

  /// Takes in what went out meanwhile: before anything else, so that the engine knows what the limits count from.
  time_point begin_turn() {
    auto at = now();
    engine_.follow_requests(log_ != nullptr && log_->wants(log_level::debug));
    engine_.accounts().keep(log_ != nullptr && log_->wants_access());
    engine_.accounts().sample(traces_ != nullptr ? traces_->share() : std::nullopt);
    arrivals_->take_written([this](auto& written) { engine_.on_written(written.attempt, written.when); });
    return at;
  }

  // -- accepting ----------------------------------------------------------------

  caf::result<completion> on_chat(chat_request& request) {
    if (auto why = admit(request, false))
      return std::move(*why);
    return begin<completion>(request.id);
  }

  caf::result<embedding> on_embedding(embedding_request& request) {
    auto max_inputs = engine_.current().dialect().max_inputs();
    if (max_inputs > 0 && request.inputs.size() > max_inputs && !drain_.is_on())
      return split(request, max_inputs);
    if (auto why = admit(request, false))
      return std::move(*why);
    return begin<embedding>(request.id);
  }

  /// Lets an actor of its own send the parts, as requests like all others.
  caf::result<embedding> split(embedding_request& request, std::size_t max_inputs) {
    if (!request.id)
      request.id = engine_.make_id();
    auto at_once = std::size_t{2} * settings().max_concurrent * engine_.current().keys.size();
    auto actor = spawn_embedding_split(self_->system(), caf::actor_cast<provider_actor>(self_), max_inputs, at_once);
    splits_.add(request.id, actor);
    if (auto node = asking_node(); !node.empty())
      add_guest(caf::actor_cast<caf::strong_actor_ptr>(actor), std::move(node));
    return self_->delegate(actor, std::move(request));
  }

  /// The session is spawned once its request has been admitted, and answers to a subscriber from the start, also while
  /// the request still waits for its turn.
  caf::result<stream_session_actor> on_stream(stream_request& request, const stream_subscriber_actor& to) {
    if (to == nullptr || request.as.from != 0) {
      begin_turn();
      auto why = to == nullptr ? "the stream has no subscriber" : "a new stream begins with piece 0";
      return refuse(engine_.refuse(make_failure(errc::invalid_request, why), request.chat,
                                   {.node = asking_node(), .streamed = true}));
    }
    if (auto why = admit(request.chat, true))
      return std::move(*why);
    auto id = request.chat.id;
    auto stream = spawn_stream_session(self_->system(), setup_of(request, to));
    auto address = callers_.add(caf::actor_cast<caf::strong_actor_ptr>(stream.actor));
    auto& client = clients_[id];
    client.address = address;
    streams_.add(id, stream.session, std::move(address));
    serve(now());
    if (auto i = clients_.find(id); i != clients_.end() && i->second.transfer == 0)
      stream.session->wake(); // it waits here, and is to see its subscriber die
    return stream.actor;
  }

  stream_setup setup_of(const stream_request& request, const stream_subscriber_actor& to) {
    stream_setup result;
    auto& admitted = *engine_.find(request.chat.id);
    result.settings = broadcast_settings_of(request, settings());
    result.settings.deadline = admitted.deadline;
    result.as = request.as;
    result.subscriber = to;
    result.dialect = admitted.dialect;
    result.keeps_text = admitted.json != nullptr;
    result.transport = transport_;
    result.secrets = engine_.current().secrets;
    result.provider = caf::actor_cast<provider_actor>(self_);
    result.owner = {caf::actor_cast<caf::weak_actor_ptr>(self_), this};
    return result;
  }

  /// Has the engine take a request in; an error: it does not.
  template <class Request>
  std::optional<caf::error> admit(Request& request, bool streamed) {
    auto at = begin_turn();
    if (log_ != nullptr && log_->wants_content()) {
      if (!request.id)
        request.id = engine_.make_id();
      tell_content(*log_, settings().name, request);
    }
    auto result = engine_.admit(request,
                                {.node = asking_node(),
                                 .part_of = splits_.asked_by(self_->current_sender()),
                                 .streamed = streamed,
                                 .draining = drain_.is_on(),
                                 .is_busy = streams_.contains(request.id)},
                                at);
    metrics_.optimizers_failed(result.failed_optimizers);
    if (!result.refused)
      return {};
    return refuse(std::move(*result.refused));
  }

  /// For which node the sender of the message in hand asks; empty: for nobody else.
  std::string asking_node() const {
    if (guests_.empty())
      return {};
    auto i = guests_.find(caf::actor_cast<caf::actor_addr>(self_->current_sender()));
    return i != guests_.end() ? i->second : std::string{};
  }

  template <class Answer>
  caf::result<Answer> begin(request_id id) {
    auto address = callers_.add(self_->current_sender()); // the promise takes the sender away
    auto reply = self_->make_response_promise<Answer>();
    clients_.emplace(id, provider_client{reply, std::move(address)});
    serve(now());
    return reply;
  }

  caf::error refuse(failure why) {
    count();
    return error_of(why);
  }

  // -- carrying out -------------------------------------------------------------

  /// Does what there is to do, then sees to the timer.
  void serve(time_point at) {
    while (auto step = engine_.next(at))
      carry_out(std::move(step), at);
    streams_.wake(at);
    if (drain_.expire(at))
      end_all(at);
    arm(at);
    count();
    if (metrics_.is_due(at))
      show(at);
  }

  void carry_out(std::optional<provider::step> step, time_point at) {
    if (step)
      std::visit([&](auto& x) { carry_out(x, at); }, *step);
  }

  void carry_out(provider::send& send, time_point at) {
    send.http.on_written = [attempt = send.attempt, clock = &self_->clock(), to = arrivals_] {
      to->put(written_attempt{attempt, clock->now()});
    };
    auto& transfer = clients_.at(send.id).transfer;
    if (send.streamed) // its session has the transfer, as long as it lives
      transfer = streams_.find(send.id)->begin(send.attempt, at, std::move(send.http));
    else
      transfer = fetch(*transport_, std::move(send.http), caf::actor_cast<caf::actor>(self_), arrivals_, send.attempt,
                       [this] { on_answers(); });
  }

  void carry_out(provider::conclude& end, time_point) {
    auto client = std::move(clients_.extract(end.id).mapped());
    if (end.abort) // a stream's session does so, too, if it still can
      transport_->cancel(client.transfer);
    std::visit([&](auto& how) { note(how, end); }, end.how);
    if (!end.streamed) {
      std::visit([&](auto& how) { client.answer(std::move(how)); }, end.how);
      callers_.remove(client.address);
    } else if (auto* session = streams_.find(end.id)) {
      answer(*session, std::move(end.how));
    }
    end_drain();
  }

  void carry_out(provider::report& report, time_point) {
    if (auto asker = caf::actor_cast<caf::strong_actor_ptr>(clients_.at(report.id).address))
      tell(self_, caf::actor_cast<provider_actor>(asker), report.id, std::move(report.spent));
  }

  void carry_out(provider::save&, time_point at) { engine_.save(false, at, wall_now()); }

  void note(const failure& why, const provider::conclude& end) {
    metrics_.failed(end.model, why.code, end.age);
    metrics_.spent(end.model, why.cost);
  }

  template <class Answer>
  void note(const Answer& good, const provider::conclude& end) {
    metrics_.answered(end.model, good.usage, good.timings, end.first_token);
    metrics_.spent(end.model, good.cost);
    if constexpr (std::is_same_v<Answer, completion>)
      metrics_.flawed(good.flaw);
  }

  // -- what comes back ------------------------------------------------------------

  void on_answers() {
    auto at = begin_turn();
    for (auto& ended : arrivals_->take_ended())
      carry_out(engine_.on_end(ended.attempt, ended.answer, nullptr, at), at);
    serve(at);
  }

  /// A session's news of one of its turns, in the order in which they happened.
  void on_stream_update(request_id id, stream_update& update) override {
    auto at = begin_turn();
    if (update.begun)
      engine_.on_begun(*update.begun, at);
    if (auto& ended = update.ended)
      carry_out(engine_.on_end(ended->attempt, ended->answer, &ended->end, at), at);
    if (update.alarm)
      streams_.set_alarm(id, *update.alarm);
    if (update.withdrawn) {
      engine_.on_asker_lost(id, at);
      carry_out(engine_.withdraw(id, *update.withdrawn, at), at);
    }
    if (update.gone) {
      callers_.remove(streams_.remove(id));
      end_drain();
    }
    serve(at);
  }

  void on_stream_lost(uint64_t attempt, bool written) override {
    auto at = begin_turn();
    engine_.on_lost(attempt, written, at);
    serve(at);
  }

  // -- taking back ----------------------------------------------------------------

  void cancel(request_id id) {
    splits_.cancel(self_, id);
    auto at = begin_turn();
    carry_out(engine_.withdraw(id, "cancelled by the caller", at), at);
    if (auto* session = streams_.find(id)) // subscribers may still be behind
      session->cut(make_failure(errc::cancelled, "cancelled by the caller"));
    serve(at);
  }

  /// Nobody is there to take the answers: nothing of this caller's goes on.
  void on_death(const caf::actor_addr& who) {
    auto at = begin_turn();
    guests_.erase(who);
    std::vector<request_id> ids;
    for (auto& [id, client] : clients_)
      if (client.address == who)
        ids.push_back(id);
    streams_.bury(who);
    for (auto id : ids) {
      engine_.on_asker_lost(id, at);
      carry_out(engine_.withdraw(id, "its caller has ended", at, log::request_outcome::abandoned), at);
    }
    end_drain();
    serve(at);
  }

  // -- beside the dispatcher ---------------------------------------------------------

  /// A job of the provider's batch API: providers count them apart.
  caf::result<batch_job_actor> on_job(batch_job_request& request, const batch_job_listener_actor& to) {
    auto prepared = provider::guarded<batch_job_parts>([&]() -> std::variant<batch_job_parts, failure> {
      if (drain_.is_on())
        return make_failure(errc::draining, "the provider is shutting down");
      return prepare_job(engine_.current(), transport_, request);
    });
    if (auto* why = std::get_if<failure>(&prepared)) {
      why->provider = settings().name;
      return caf::make_error(why->code, *why);
    }
    return spawn_batch_job(self_->system(), std::move(std::get<batch_job_parts>(prepared)), to,
                           caf::actor_cast<provider_actor>(self_));
  }

  // -- time, status and shutdown --------------------------------------------------------

  void arm(time_point at) {
    timer_.arm(timer::earlier_of(timer::earlier_of(engine_.wake_at(at), drain_.wake_at()), streams_.next_alarm()));
  }

  void count() {
    metrics_.count(engine_.counts(), engine_.queue(), engine_.refused());
    tell_logs();
  }

  /// Hands on what the logs and the traces are to have.
  void tell_logs() {
    tell_log(log_, engine_.collect_news());
    trace::hand_on(engine_.accounts().collect(), log_, traces_);
  }

  provider_status show(time_point at) {
    auto status = engine_.status(drain_.is_on(), at);
    metrics_.show(status, at);
    return status;
  }

  provider_status status() {
    auto at = begin_turn();
    count();
    return show(at);
  }

  caf::result<void> drain(caf::timespan grace) {
    engine_.drain();
    if (is_idle())
      engine_.on_drained(now());
    auto reply = drain_.begin(self_, grace, is_idle());
    arm(now());
    return reply;
  }

  void end_all(time_point at) {
    const std::string why = "the provider is shutting down and its grace period is over";
    for (auto& ended : engine_.withdraw_all(why, at))
      carry_out(std::move(ended), at);
    streams_.cut_all(make_failure(errc::cancelled, why));
  }

  bool is_idle() const { return engine_.empty() && streams_.empty(); }

  /// Whoever asked for the end hears of it when the limits' use has been handed on.
  void end_drain() {
    if (!is_idle() || !drain_.is_on())
      return;
    engine_.on_drained(now());
    drain_.finish();
  }

  provider_actor::pointer self_;
  std::shared_ptr<http::client> transport_;
  log_handle log_;
  std::shared_ptr<trace::exporter> traces_;
  provider::engine engine_;
  provider_metrics metrics_;
  callers<std::remove_pointer_t<provider_actor::pointer>> callers_;
  std::unordered_map<request_id, provider_client> clients_;
  stream_sessions streams_;
  model_lists model_lists_{self_, transport_, engine_};
  embedding_splits splits_;
  std::unordered_map<caf::actor_addr, std::string> guests_; ///< Who asks for which other node.
  std::shared_ptr<arrivals> arrivals_ = std::make_shared<arrivals>();
  timer timer_{self_, [this] { serve(begin_turn()); }};
  drain_period drain_;
};

} // namespace

std::variant<provider_actor, failure> spawn_provider(caf::actor_system& system, const provider_settings& settings,
                                                     const runtime_settings& runtime,
                                                     std::shared_ptr<http::client> transport) {
  auto prepared = provider::prepare(settings, runtime);
  auto* problem = std::get_if<failure>(&prepared);
  provider::kept_limits limits;
  std::optional<failure> unkept;
  if (problem == nullptr && (unkept = limits.open(std::get<provider::setup>(prepared))))
    problem = &*unkept;
  if (problem != nullptr) {
    problem->provider = settings.name;
    return std::move(*problem);
  }
  return spawn_controlled_provider(system, {std::move(std::get<provider::setup>(prepared)), std::move(limits)},
                                   std::move(transport))
    .actor;
}

controlled_provider spawn_controlled_provider(caf::actor_system& system, provider_start start,
                                              std::shared_ptr<http::client> transport) {
  auto actor = system.spawn<provider_actor::stateful_impl<provider_state>>(std::move(start), std::move(transport));
  return {actor, state_of<provider_state>(actor)};
}

} // namespace modelforge
