#include "actors/provider_proxy.hpp"

#include "actors/embedding_split.hpp"
#include "actors/owner_side.hpp"
#include "actors/remote_calls.hpp"
#include "actors/remote_intake.hpp"
#include "actors/stream_relay.hpp"
#include "actors/support/callers.hpp"
#include "actors/support/drain.hpp"
#include "actors/support/error_of.hpp"
#include "actors/support/handover.hpp"
#include "actors/support/mail.hpp"
#include "actors/support/message_size.hpp"
#include "actors/support/state_handle.hpp"
#include "actors/support/timer.hpp"
#include "node/pending_calls.hpp"
#include "node/spent_attempts.hpp"
#include "node/told_answers.hpp"

#include <modelforge/actors/system.hpp>

#include <caf/actor_system.hpp>
#include <caf/exit_reason.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace modelforge {

namespace {

using node::pending_calls;
using time_point = pending_calls::time_point;
using call_id = pending_calls::call_id;
using owner_id = pending_calls::owner_id;

/// What a call that is asked for without a deadline of its own may take.
constexpr auto question_time = std::chrono::seconds{30};

/// Cuts what the owner answers to what is possible. Returns why it is no use.
std::optional<failure> check(embedding& answer, std::size_t inputs) {
  node::bound(answer);
  return node::wrong_vectors(answer, inputs);
}

std::optional<failure> check(model_list&, std::size_t) {
  return {};
}

template <class Answer>
std::optional<failure> check(Answer& answer, std::size_t) {
  node::bound(answer);
  return {};
}

template <class Answer>
constexpr bool is_large = std::is_same_v<Answer, completion> || std::is_same_v<Answer, embedding>;

/// Carries out what `pending_calls` decides on calls to a provider of another node.
///
/// A call is kept until it is answered, with what sends it (again, to the owner of that time) and what tells its caller
/// of a failure. Owners come and go: `connect`, `disconnect`, their deaths. What goes to them takes room on the link
/// first (`peer_traffic`). A stream's pieces go past this actor, by way of a relay of its own.
class proxy_state {
public:
  static inline const char* name = "provider_proxy";

  proxy_state(provider_actor::pointer self, const provider_settings& provider, const node_settings& node,
              std::function<void()> look, uint64_t max_kept_bytes, log_handle log)
    : self_(self), settings_(provider), look_(std::move(look)),
      callers_(self, [this](const caf::actor_addr& who, const caf::error&) { on_death(who); }),
      owner_(provider, node, std::move(log), now()), calls_(owner_.name(), node.max_message_bytes, max_kept_bytes),
      intake_(provider, node, calls_, streams_, splits_), timer_(self, [this] { serve(); }) {}

  provider_actor::behavior_type make_behavior() {
    return {
      [this](chat_request& request) { return accept<completion>(request, "shorten the prompt"); },
      [this](stream_request& request, const stream_subscriber_actor& subscriber) {
        return accept_stream(request, subscriber);
      },
      [this](embedding_request& request) { return accept_embedding(request); },
      [this](const batch_job_request&, const batch_job_listener_actor&) -> caf::result<batch_job_actor> {
        return refuse(make_failure(errc::unsupported,
                                   "jobs of a batch API run on the node that owns the provider, " + owner_.name(),
                                   "run the batch there, or live"));
      },
      [this](models_atom atom) { return question<model_list>(atom); },
      [this](cancel_atom, request_id id) { cancel(id); },
      [this](status_atom atom) -> caf::result<provider_status> {
        if (owner_.pending.owner() == 0 || owner_.pending.is_resting())
          return status_without_owner();
        return question<provider_status>(atom);
      },
      [this](drain_atom, caf::timespan grace) { return drain(grace); },
      [this](const request_id& id, attempts_made& attempts) { on_attempts(id, std::move(attempts)); },
      [this](received_atom, uint64_t count) {
        owner_.traffic.acknowledged(caf::actor_cast<caf::actor_addr>(self_->current_sender()), count);
        serve();
      },
    };
  }

  void connect(const found_owner& owner) {
    if (!owner_.pending.is_resting())
      return add_owner(owner);
    ask(self_, owner.actor, status_atom_v) // the one before takes nothing new; is this another one?
      .then(
        [this, owner, turn = owner_.turn()](const provider_status& status) {
          if (turn == owner_.turn() && !status.draining)
            add_owner(owner);
        },
        [](const caf::error&) {}); // it is looked for again
  }

  void disconnect(owner_loss loss) {
    owner_.lose_all(std::move(loss), callers_, now());
    serve();
  }

  /// What it has already, from before, it may still answer. It is asked again: its settings may change.
  void refuse_all(failure why) {
    owner_.refuse(std::move(why), now());
    serve();
  }

private:
  time_point now() const { return self_->clock().now(); }

  state_handle<proxy_state> here() { return {caf::actor_cast<caf::weak_actor_ptr>(self_), this}; }

  // -- owners -----------------------------------------------------------------------

  void add_owner(const found_owner& owner) {
    owner_.add(
      owner, streams_, [to = here()] { to.run([](proxy_state& state) { state.on_room(); }); }, callers_, now());
    serve();
  }

  void on_death(const caf::actor_addr& who) {
    for (auto id : owner_.at(who))
      lose_owner(id, "the link to it broke");
    for (auto number : calls_.numbers_of(who))
      withdraw(number, "its caller has ended");
    arm();
  }

  void lose_owner(owner_id id, std::string why) {
    if (owner_.lose(id, std::move(why), callers_, now()))
      serve();
  }

  /// There is room on the link.
  void on_room() {
    owner_.pending.open();
    serve();
  }

  // -- taking calls ---------------------------------------------------------------

  caf::error refuse(failure why) const {
    why.provider = settings_.name;
    return error_of(why);
  }

  template <class Answer, class Request>
  caf::result<Answer> accept(Request& request, const std::string& instead) {
    auto call = intake_.admit(request, request, instead, now());
    if (auto* why = std::get_if<failure>(&call))
      return refuse(std::move(*why));
    return begin<Answer>(std::get<remote_call>(std::move(call)),
                         [this, kept = std::make_shared<Request>(std::move(request))](const remote_call& x) {
                           auto again = *kept;
                           bring_up_to_date(again, x, now());
                           return again;
                         });
  }

  template <class Answer, class Question>
  caf::result<Answer> question(Question question) {
    remote_call call;
    call.deadline = now() + question_time;
    call.history = {{}, now()};
    return begin<Answer>(std::move(call), [question](const remote_call&) { return question; });
  }

  /// `message` makes what is sent, anew for each attempt.
  template <class Answer, class F>
  caf::result<Answer> begin(remote_call call, F message) {
    call.caller = callers_.add(self_->current_sender()); // the promise takes the sender away
    auto reply = self_->make_response_promise<Answer>();
    call.fail = [reply](const caf::error& why) mutable { reply.deliver(why); };
    call.send = [this, reply, inputs = call.inputs, message = std::move(message)](call_id number) {
      auto id = owner_.pending.owner();
      ask(self_, owner_.actor(id), message(calls_.at(number)))
        .then(
          [this, reply, number, id, inputs](Answer& answer) mutable {
            acknowledge(answer, id);
            if (!settle(number))
              return;
            if (auto why = check(answer, inputs))
              reply.deliver(refuse(std::move(*why)));
            else
              reply.deliver(std::move(answer));
          },
          [this, number, id](const caf::error& why) { on_error(number, id, why); });
    };
    start(std::move(call));
    return reply;
  }

  void start(remote_call call) {
    auto number = owner_.pending.add({call.deadline, call.history.spent(), call.patient, call.bytes});
    calls_.add(number, std::move(call));
    serve();
  }

  /// An actor of its own sends what is too large for one message, in parts.
  caf::result<embedding> accept_embedding(embedding_request& request) {
    auto max = intake_.max_inputs(request);
    if (request.inputs.size() <= max || intake_.is_closed())
      return accept<embedding>(request, "give fewer or shorter inputs");
    auto deadline = intake_.prepare(request, now());
    if (auto* why = std::get_if<failure>(&deadline))
      return refuse(std::move(*why));
    auto actor =
      spawn_embedding_split(self_->system(), caf::actor_cast<provider_actor>(self_), max, settings_.max_concurrent);
    splits_.add(request.id, actor);
    return self_->delegate(actor, std::move(request));
  }

  // -- streams --------------------------------------------------------------------

  caf::result<stream_session_actor> accept_stream(stream_request& request, const stream_subscriber_actor& subscriber) {
    auto admitted = subscriber != nullptr ? intake_.admit(request.chat, request, "shorten the prompt", now())
                                          : make_failure(errc::invalid_request, "the stream has no subscriber");
    if (auto* why = std::get_if<failure>(&admitted))
      return refuse(std::move(*why));
    auto& call = std::get<remote_call>(admitted);
    call.caller = callers_.add(self_->current_sender());
    auto reply = self_->make_response_promise<stream_session_actor>();
    call.fail = [reply](const caf::error& error) mutable { reply.deliver(error); };
    call.send = [this, reply, subscriber, kept = std::make_shared<stream_request>(std::move(request))](call_id number) {
      send_stream(*kept, subscriber, reply, number);
    };
    start(std::move(call));
    return reply;
  }

  /// Each attempt has a relay of its own: one that was lost on the way can tell nobody anything.
  void send_stream(stream_request request, const stream_subscriber_actor& subscriber,
                   caf::typed_response_promise<stream_session_actor> reply, call_id number) {
    auto& call = calls_.at(number);
    auto stream = call.id;
    auto owner = owner_.pending.owner();
    auto relay_number = streams_.next_relay();
    bring_up_to_date(request.chat, call, now());
    auto relay =
      spawn_stream_relay(self_->system(), {stream, subscriber, caf::actor_cast<provider_actor>(self_), settings_.name,
                                           owner_.name(), [to = here(), stream, relay_number] {
                                             to.run([stream, relay_number](proxy_state& state) {
                                               state.on_relay_end(stream, relay_number);
                                             });
                                           }});
    if (call.drop)
      call.drop();
    call.drop = relay.drop;
    streams_.set(stream, relay_number, owner); // until the relay tells its end
    ask(self_, owner_.actor(owner), std::move(request), relay.subscriber)
      .then(
        [this, relay, reply, number](const stream_session_actor& session) mutable {
          if (!settle(number))
            return;
          relay.begin(session);
          reply.deliver(relay.session);
        },
        [this, number, owner](const caf::error& why) { on_error(number, owner, why); });
  }

  void on_relay_end(request_id id, uint64_t relay) {
    streams_.on_relay_end(id, relay);
    end_drain();
  }

  // -- carrying out -------------------------------------------------------------------

  void serve() {
    auto at = now();
    while (auto step = owner_.pending.next(at, [this](uint64_t bytes) { return owner_.traffic.take_room(bytes); }))
      std::visit([&](auto& one) { carry_out(one); }, *step);
    if (!owner_.pending.is_held())
      owner_.traffic.withdraw();
    for (auto& due : owner_.traffic.take_due(at))
      tell(self_, caf::actor_cast<provider_actor>(caf::actor_cast<caf::strong_actor_ptr>(due.peer)), received_atom_v,
           due.count);
    if (drain_.expire(at))
      end_all();
    arm();
  }

  void carry_out(const pending_calls::send& step) {
    handover soon;
    auto& call = calls_.at(step.call);
    owner_.send(call, step, now());
    auto send = call.send; // it may replace parts of the call
    send(step.call);
  }

  void carry_out(const pending_calls::look&) { look_(); }

  void carry_out(const pending_calls::end& step) {
    auto call = calls_.extract(step.call);
    auto why = owner_.explain(*call, step);
    if (step.code == errc::deadline_exceeded)
      withdraw_at(step.owner, call->id);
    fail(*call, refuse(std::move(why)));
  }

  void arm() {
    timer_.arm(
      timer::earlier_of(timer::earlier_of(owner_.pending.wake_at(), owner_.traffic.due_at()), drain_.wake_at()));
  }

  // -- what comes of them ------------------------------------------------------------

  /// Tells the owner now and then what has arrived here.
  template <class Answer>
  void acknowledge(const Answer& answer, owner_id from) {
    auto* owner = owner_.find(from);
    if (owner == nullptr || !is_large<Answer>)
      return;
    if (auto count = owner_.traffic.received(owner->address, message_size(answer), now()))
      tell(self_, owner->actor, received_atom_v, *count);
    else
      arm();
  }

  /// The owner has spent attempts on a call, and goes on.
  void on_attempts(request_id id, attempts_made attempts) {
    auto number = calls_.find(id);
    if (!number || !owner_.has(*number, caf::actor_cast<caf::actor_addr>(self_->current_sender())))
      return;
    attempts = node::bounded(std::move(attempts));
    owner_.pending.reported(*number, attempts.spent);
    calls_.at(*number).history.on_report(std::move(attempts.records));
    serve();
  }

  /// Ends a call that was answered; false: it was over already.
  bool settle(call_id number) {
    auto call = calls_.extract(number);
    if (!call)
      return false;
    owner_.pending.remove(number);
    on_arrival(*call);
    forget(*call);
    return true;
  }

  /// Who answers a message has got it, and those that were sent before.
  void on_arrival(const remote_call& call) {
    if (call.bytes > 0)
      owner_.traffic.arrived(call.receiver, call.message);
  }

  void on_error(call_id number, owner_id from, const caf::error& error) {
    if (error.category() != caf::type_id_v<errc>) // CAF's own: the owner's actor has ended without an answer
      return lose_owner(from, "its actor there has ended");
    auto* call = calls_.find(number);
    if (call == nullptr || owner_.pending.owner_of(number) != from)
      return;
    on_arrival(*call);
    if (owner_.takes_back(*call, number, error, now()))
      return serve();
    owner_.pending.remove(number);
    auto why = failure_of(error);
    node::bound(why);
    auto over = calls_.extract(number);
    fail(*over, error_of(why));
  }

  void fail(const remote_call& call, const caf::error& why) {
    if (call.drop) {
      call.drop();
      streams_.erase(call.id);
    }
    call.fail(why);
    forget(call);
  }

  void forget(const remote_call& call) {
    callers_.remove(call.caller);
    end_drain();
  }

  // -- taking back ---------------------------------------------------------------------

  void withdraw_at(owner_id who, request_id id) {
    if (auto to = owner_.actor(who); to != nullptr && id)
      tell(self_, to, cancel_atom_v, id);
  }

  void withdraw(call_id number, const std::string& why) {
    auto call = calls_.extract(number);
    if (!call)
      return;
    withdraw_at(owner_.pending.owner_of(number), call->id);
    owner_.pending.remove(number);
    fail(*call, refuse(make_failure(errc::cancelled, why)));
  }

  void cancel(request_id id) {
    splits_.cancel(self_, id);
    if (auto number = calls_.find(id))
      withdraw(*number, "cancelled by the caller");
    else
      withdraw_at(streams_.owner_of(id), id); // the session tells the relay
    arm();
  }

  // -- status and shutdown -------------------------------------------------------------

  provider_status status_without_owner() const {
    auto result = owner_.status(settings_, now());
    result.draining = drain_.is_on();
    return result;
  }

  caf::result<void> drain(caf::timespan grace) {
    intake_.close();
    auto result = drain_.begin(self_, grace, is_idle());
    arm();
    return result;
  }

  void end_all() {
    for (auto number : calls_.numbers())
      withdraw(number, "the program is shutting down and its grace period is over");
    streams_.for_each([this](request_id id, owner_id owner) { withdraw_at(owner, id); });
  }

  bool is_idle() const { return calls_.empty() && streams_.empty(); }

  void end_drain() {
    if (is_idle())
      drain_.finish();
  }

  provider_actor::pointer self_;
  provider_settings settings_;
  std::function<void()> look_;
  callers<std::remove_pointer_t<provider_actor::pointer>> callers_;
  owner_side owner_;
  remote_calls calls_;
  relayed_streams streams_;
  embedding_splits splits_;
  remote_intake intake_;
  timer timer_;
  drain_period drain_;
};

} // namespace

provider_proxy spawn_provider_proxy(caf::actor_system& system, const provider_settings& provider,
                                    const node_settings& node, std::function<void()> look, uint64_t max_kept_bytes,
                                    log_handle log) {
  provider_proxy result;
  result.actor = system.spawn<provider_actor::stateful_impl<proxy_state>>(provider, node, std::move(look),
                                                                          max_kept_bytes, std::move(log));
  auto state = state_of<proxy_state>(result.actor);
  result.connect = [state](const found_owner& owner) {
    state.run([owner](proxy_state& proxy) { proxy.connect(owner); });
  };
  result.refuse = [state](failure why) {
    state.run([why = std::move(why)](proxy_state& proxy) { proxy.refuse_all(why); });
  };
  result.disconnect = [state](owner_loss loss) {
    state.run([loss = std::move(loss)](proxy_state& proxy) { proxy.disconnect(loss); });
  };
  return result;
}

} // namespace modelforge
