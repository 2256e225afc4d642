#include "actors/provider_proxy.hpp"

#include "actors/embedding_split.hpp"
#include "actors/stream_relay.hpp"
#include "actors/support/callers.hpp"
#include "actors/support/handover.hpp"
#include "actors/support/mail.hpp"
#include "actors/support/message_size.hpp"
#include "node/peer_link.hpp"
#include "node/pending_calls.hpp"
#include "node/spent_attempts.hpp"
#include "node/told_answers.hpp"

#include <modelforge/actors/system.hpp>

#include <caf/actor_system.hpp>
#include <caf/exit_reason.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

namespace modelforge {

namespace {

using node::pending_calls;
using time_point = pending_calls::time_point;
using call_id = pending_calls::call_id;
using owner_id = pending_calls::owner_id;

/// What a call that is asked for without a deadline of its own may take.
constexpr auto question_time = std::chrono::seconds{30};

/// Vectors of which nobody said how long they are.
constexpr uint64_t usual_dimensions = 4096;

pending_calls::settings calls_of(const provider_settings& provider, const node_settings& node) {
  pending_calls::settings x;
  x.retry_uncertain = provider.retry.retry_uncertain;
  x.max_attempts = provider.retry.max_attempts;
  x.first_patience = node.timeout;
  x.patience = node::max_relink_time(node.timeout, node.heartbeat);
  return x;
}

/// Cuts what the owner answers to what is possible. Returns why it is no use.
std::optional<failure> check(embedding& x, std::size_t inputs) {
  node::bound(x);
  return node::wrong_vectors(x, inputs);
}

std::optional<failure> check(model_list&, std::size_t) {
  return {};
}

template <class Answer>
std::optional<failure> check(Answer& x, std::size_t) {
  node::bound(x);
  return {};
}

/// Everything but its making runs inside the proxy's actor, which its handlers keep alive.
class proxy : public std::enable_shared_from_this<proxy> {
public:
  proxy(caf::actor_system& system, const provider_settings& provider, const node_settings& node,
        std::function<void()> look, uint64_t most_kept)
    : settings_(provider), node_(node), owner_name_(provider.nodes.front()), look_(std::move(look)),
      most_kept_(most_kept), lost_at_(system.clock().now()), calls_(calls_of(provider, node), lost_at_) {}

  provider_actor::behavior_type make_behavior(provider_actor::pointer self) {
    self_ = self;
    callers_.emplace(self, [this](const caf::actor_addr& who, const caf::error&) { on_death(who); });
    return {
      [me = shared_from_this()](chat_request& x) { return me->accept<completion>(std::move(x), "shorten the prompt"); },
      [this](stream_request& x, const stream_subscriber_actor& to) { return accept_stream(std::move(x), to); },
      [this](embedding_request& x) { return accept_embedding(std::move(x)); },
      [this](const batch_job_request&, const batch_job_listener_actor&) -> caf::result<batch_job_actor> {
        return refuse(make_failure(errc::unsupported,
                                   "jobs of a batch API run on the node that owns the provider, " + owner_name_,
                                   "run the batch there, or live"));
      },
      [this](models_atom x) { return question<model_list>(x); },
      [this](cancel_atom, request_id id) { cancel(id); },
      [this](status_atom x) -> caf::result<provider_status> {
        if (calls_.owner() == 0 || calls_.is_resting())
          return describe_loss();
        return question<provider_status>(x);
      },
      [this](drain_atom, caf::timespan grace) { return drain(grace); },
      [this](const request_id& id, attempts_made& x) { note_attempts(id, std::move(x)); },
      [this](received_atom, uint64_t count) {
        note_receipt(caf::actor_cast<caf::actor_addr>(self_->current_sender()), count);
        serve();
      },
    };
  }

  void connect(const found_owner& owner) {
    auto turn = losses_;
    if (!calls_.is_resting())
      return take_owner(owner);
    ask(self_, owner.actor, status_atom_v) // the one before takes nothing new; is this another one?
      .then(
        [this, owner, turn](const provider_status& x) {
          if (turn == losses_ && !x.draining)
            take_owner(owner);
        },
        [](const caf::error&) {}); // it is looked for again
  }

  void disconnect(std::string why) {
    ++losses_;
    refusal_.reset();
    problem_ = std::move(why);
    if (!owners_.empty())
      lost_at_ = now();
    for (auto& [id, x] : owners_)
      callers_->remove(x.address);
    owners_.clear();
    leave_gate();
    calls_.lost(now());
    serve();
  }

  /// What it has already, from before, it may still answer. It is asked again: its settings may change.
  void refuse_all(failure why) {
    ++losses_;
    problem_ = why.message;
    refusal_ = std::move(why);
    calls_.give_up(now());
    serve();
  }

private:
  struct call {
    request_id id; ///< Empty: a question that nobody can cancel.
    caf::actor_addr caller;
    std::string model;
    std::size_t inputs = 0; ///< Of a request for embeddings.
    bool patient = false;
    time_point accepted;
    std::optional<time_point> deadline;
    time_point sent{};
    attempts_made earlier; ///< By others and by owners that are lost; their records, as far as they are known.
    uint32_t unknown = 0;  ///< Of those that others made: attempts without a record.
    std::function<void(call_id)> send;
    uint64_t bytes = 0;         ///< Of the message that is sent, by and large; 0: too few to count.
    caf::actor_addr at{};       ///< Whom it was sent to.
    uint64_t number = 0;        ///< Of that message.
    std::function<void()> drop; ///< What the attempt before left; may be empty.
    std::function<void(const caf::error&)> fail;
  };

  /// The owner's actor for this node: the latest, or one before it that has calls still.
  struct known_owner {
    provider_actor actor;
    caf::actor_addr address;
  };

  /// What goes to and fro between this actor and one of an owner's.
  struct traffic {
    node::unacknowledged requests;
    node::receipts answers;
  };

  /// A stream whose relay has not ended.
  struct open_stream {
    uint64_t relay = 0; ///< Its number: each attempt has one of its own.
    owner_id owner = 0;
  };

  time_point now() const { return self_->clock().now(); }

  void take_owner(const found_owner& owner) {
    refusal_.reset();
    problem_.clear();
    if (owner.gate != gate_is_)
      enter_gate(owner.gate);
    auto id = calls_.up(now());
    owners_[id] = {owner.actor, callers_->add(caf::actor_cast<caf::strong_actor_ptr>(owner.actor))};
    std::vector<owner_id> left;
    for (auto& [other, x] : owners_)
      if (other != id && !calls_.is_used(other) && !has_streams(other))
        left.push_back(other);
    for (auto other : left)
      forget_owner(other);
    serve();
  }

  /// What it has not told to have arrived is not heard of any more.
  void forget_owner(owner_id who) {
    auto address = owners_.at(who).address;
    callers_->remove(address);
    owners_.erase(who);
    if (std::any_of(owners_.begin(), owners_.end(), [&](auto& x) { return x.second.address == address; }))
      return; // it was found twice
    note_arrived(address, UINT64_MAX);
    links_.erase(address);
  }

  // -- what is on its way -----------------------------------------------------------

  void enter_gate(std::shared_ptr<node::shared_gate> gate) {
    leave_gate();
    gate_is_ = gate;
    if (gate == nullptr)
      return;
    auto wake = [to = weak(), me = weak_from_this()] {
      post_if_alive(to, [me] {
        if (auto here = me.lock())
          here->come_in();
      });
    };
    gate_ = std::make_unique<node::shared_gate::user>(std::move(gate), std::move(wake));
  }

  void leave_gate() {
    links_.clear();
    gate_ = nullptr;
    gate_is_ = nullptr;
    calls_.open();
  }

  /// There is room.
  void come_in() {
    calls_.open();
    serve();
  }

  bool take_room(uint64_t bytes) const { return gate_ == nullptr || gate_->take(bytes); }

  void note_sent(call& x) {
    x.at = owners_.at(calls_.owner()).address;
    if (x.bytes > 0)
      x.number = links_[x.at].requests.send(x.bytes);
  }

  void note_receipt(const caf::actor_addr& who, uint64_t more) {
    if (auto i = links_.find(who); i != links_.end())
      give_back(i->second.requests.told(more));
  }

  /// The message of that number has arrived there, and those before it.
  void note_arrived(const caf::actor_addr& who, uint64_t number) {
    if (auto i = links_.find(who); i != links_.end())
      give_back(i->second.requests.arrived(number));
  }

  void give_back(uint64_t bytes) const {
    if (bytes > 0 && gate_ != nullptr)
      gate_->give_back(bytes);
  }

  /// Tells the owner now and then what has arrived here.
  template <class Answer>
  void acknowledge(const Answer& x, owner_id from) {
    auto i = owners_.find(from);
    if (i == owners_.end() || !(std::is_same_v<Answer, completion> || std::is_same_v<Answer, embedding>))
      return;
    if (auto count = links_[i->second.address].answers.arrived(message_size(x)))
      tell(self_, i->second.actor, received_atom_v, *count);
    else
      acknowledge_soon();
  }

  void acknowledge_soon() {
    if (std::exchange(acknowledges_soon_, true))
      return;
    run_at(self_, now() + node::receipts::patience, [this] {
      acknowledges_soon_ = false;
      for (auto& [id, x] : owners_)
        if (auto i = links_.find(x.address); i != links_.end())
          if (auto count = i->second.answers.untold())
            tell(self_, x.actor, received_atom_v, *count);
    });
  }

  bool has_streams(owner_id who) const {
    return std::any_of(streams_.begin(), streams_.end(), [&](auto& x) { return x.second.owner == who; });
  }

  /// Null: it is lost.
  provider_actor owner(owner_id who) const {
    auto i = owners_.find(who);
    return i != owners_.end() ? i->second.actor : provider_actor{};
  }

  // -- taking calls ---------------------------------------------------------------

  caf::error refuse(failure why) const {
    why.provider = settings_.name;
    return caf::make_error(why.code, why);
  }

  /// Gives `x` its id and deadline; an error: it cannot be taken.
  template <class Request>
  std::optional<failure> prepare(Request& x, std::optional<time_point>& deadline) {
    if (draining_)
      return make_failure(errc::draining, "the program is shutting down");
    if (!x.id)
      x.id = make_request_id(random_);
    if (by_id_.count(x.id) > 0 || streams_.count(x.id) > 0 || splits_.count(x.id) > 0)
      return make_failure(errc::duplicate_request, "a request with this id is alive already");
    if (!x.deadline && x.priority == priority::interactive && settings_.deadline.count() > 0)
      x.deadline = settings_.deadline;
    if (x.deadline)
      deadline = *x.deadline < time_point::max() - now() ? now() + *x.deadline : time_point::max();
    x.earlier = node::bounded(std::move(x.earlier));
    return {};
  }

  template <class Answer, class Request>
  caf::result<Answer> accept(Request x, const std::string& instead) {
    call made;
    auto problem = prepare(x, made.deadline);
    if (!problem)
      problem = weigh(made, message_size(x), instead);
    if (problem)
      return refuse(std::move(*problem));
    describe(made, x);
    return begin<Answer>(std::move(made), [this, x = std::make_shared<Request>(std::move(x))](const call& y) {
      auto again = *x;
      bring_up_to_date(again, y);
      return again;
    });
  }

  /// Whether so many bytes can be kept and sent.
  std::optional<failure> weigh(call& made, uint64_t bytes, const std::string& instead) const {
    if (auto why = too_large_for_nodes(bytes, node_.max_message_bytes, "the request", instead))
      return why;
    if (kept_ + bytes > most_kept_)
      return make_failure(errc::queue_full,
                          "the requests for node " + owner_name_ + " fill their memory (runtime.max_queued_bytes)");
    made.bytes = bytes;
    return {};
  }

  template <class Request>
  static void describe(call& made, const Request& x) {
    made.id = x.id;
    made.model = x.model;
    if constexpr (std::is_same_v<Request, embedding_request>)
      made.inputs = x.inputs.size();
    made.patient = x.priority == priority::batch;
    made.earlier = x.earlier;
    made.unknown = x.earlier.spent - std::min<uint32_t>(x.earlier.spent, x.earlier.records.size());
  }

  /// What has changed of a request since it was taken in.
  template <class Request>
  void bring_up_to_date(Request& x, const call& by) const {
    if (by.deadline)
      x.deadline = *by.deadline - now();
    x.earlier = by.earlier;
    x.earlier.age += now() - by.accepted;
    x.earlier.report = true;
  }

  template <class Answer, class Question>
  caf::result<Answer> question(Question x) {
    call made;
    made.deadline = now() + question_time;
    return begin<Answer>(std::move(made), [x](const call&) { return x; });
  }

  /// `message` makes what is sent, anew for each attempt.
  template <class Answer, class F>
  caf::result<Answer> begin(call made, F message) {
    made.caller = callers_->add(self_->current_sender()); // the promise takes the sender away
    auto reply = self_->make_response_promise<Answer>();
    made.fail = [reply](const caf::error& why) mutable { reply.deliver(why); };
    made.send = [this, reply, inputs = made.inputs, message = std::move(message)](call_id id) {
      auto to = calls_.owner();
      ask(self_, owner(to), message(all_.at(id)))
        .then(
          [this, reply, id, to, inputs](Answer& x) mutable {
            acknowledge(x, to);
            if (!settle(id))
              return;
            if (auto why = check(x, inputs))
              reply.deliver(refuse(std::move(*why)));
            else
              reply.deliver(std::move(x));
          },
          [this, id, to](const caf::error& why) { take_error(id, to, why); });
    };
    start(std::move(made));
    return reply;
  }

  void start(call made) {
    made.accepted = now();
    auto id = calls_.add({made.deadline, made.earlier.spent, made.patient, made.bytes});
    kept_ += made.bytes;
    if (made.id)
      by_id_.emplace(made.id, id);
    all_.emplace(id, std::move(made));
    serve();
  }

  caf::result<embedding> accept_embedding(embedding_request x) {
    uint64_t longest = 0;
    for (auto& text : x.inputs)
      longest = std::max<uint64_t>(longest, text.size());
    auto room = node_.max_message_bytes - std::min<uint64_t>(node_.max_message_bytes / 2, 4096);
    auto most = room / std::max(4 * uint64_t{x.dimensions.value_or(usual_dimensions)}, longest + 16);
    most = std::max<uint64_t>(most, 1);
    if (x.inputs.size() <= most || draining_)
      return accept<embedding>(std::move(x), "give fewer or shorter inputs");
    std::erase_if(splits_, [](auto& entry) { return caf::actor_cast<caf::strong_actor_ptr>(entry.second) == nullptr; });
    std::optional<time_point> deadline;
    if (auto problem = prepare(x, deadline))
      return refuse(std::move(*problem));
    auto actor =
      spawn_embedding_split(self_->system(), caf::actor_cast<provider_actor>(self_), most, settings_.max_concurrent);
    splits_[x.id] = caf::actor_cast<caf::weak_actor_ptr>(actor);
    return self_->delegate(actor, std::move(x));
  }

  // -- streams --------------------------------------------------------------------

  caf::result<stream_session_actor> accept_stream(stream_request x, const stream_subscriber_actor& to) {
    call made;
    auto problem = prepare(x.chat, made.deadline);
    if (!problem && to == nullptr)
      problem = make_failure(errc::invalid_request, "the stream has no subscriber");
    if (!problem)
      problem = weigh(made, message_size(x), "shorten the prompt");
    if (problem)
      return refuse(std::move(*problem));
    describe(made, x.chat);
    made.caller = callers_->add(self_->current_sender());
    auto reply = self_->make_response_promise<stream_session_actor>();
    made.fail = [reply](const caf::error& why) mutable { reply.deliver(why); };
    made.send = [this, reply, to, x = std::make_shared<stream_request>(std::move(x))](call_id id) {
      send_stream(*x, to, reply, id);
    };
    start(std::move(made));
    return reply;
  }

  /// Each attempt has a relay of its own: one that was lost on the way can tell nobody anything.
  void send_stream(stream_request x, const stream_subscriber_actor& to,
                   caf::typed_response_promise<stream_session_actor> reply, call_id id) {
    auto& made = all_.at(id);
    auto stream = made.id;
    auto owner_id = calls_.owner();
    auto number = ++relays_;
    bring_up_to_date(x.chat, made);
    relay_parts parts{stream,
                      to,
                      caf::actor_cast<provider_actor>(self_),
                      settings_.name,
                      owner_name_,
                      [to = weak(), me = weak_from_this(), stream, number] {
                        post_if_alive(to, [me, stream, number] {
                          if (auto here = me.lock())
                            here->end_stream(stream, number);
                        });
                      }};
    auto relay = spawn_stream_relay(self_->system(), std::move(parts));
    if (made.drop)
      made.drop();
    made.drop = relay.drop;
    streams_.insert_or_assign(stream, open_stream{number, owner_id}); // until the relay tells its end, whenever that is
    ask(self_, owner(owner_id), std::move(x), relay.subscriber)
      .then(
        [this, relay, reply, id](const stream_session_actor& session) mutable {
          if (!settle(id))
            return;
          relay.begin(session);
          reply.deliver(relay.session);
        },
        [this, id, owner_id](const caf::error& why) { take_error(id, owner_id, why); });
  }

  /// The end of an earlier attempt's relay is none of the stream.
  void end_stream(request_id id, uint64_t relay) {
    if (auto i = streams_.find(id); i != streams_.end() && i->second.relay == relay)
      streams_.erase(i);
    end_drain();
  }

  // -- what comes of them ------------------------------------------------------------

  void serve() {
    auto at = now();
    while (auto step = calls_.next(at, [this](uint64_t bytes) { return take_room(bytes); })) {
      if (auto* send = std::get_if<pending_calls::send>(&*step)) {
        handover soon;
        auto& x = all_.at(send->call);
        add_lost_attempts(x, send->attempt - 1);
        x.sent = at;
        note_sent(x);
        auto copy = x.send; // it may replace parts of the call
        copy(send->call);
      } else if (std::holds_alternative<pending_calls::look>(*step)) {
        look_();
      } else {
        end(std::get<pending_calls::end>(*step));
      }
    }
    if (gate_ != nullptr && !calls_.is_held())
      gate_->withdraw();
    if (draining_ && drain_end_ <= at)
      end_all();
    arm();
  }

  /// Owners that are gone may have made them.
  void add_lost_attempts(call& x, uint32_t spent) const {
    auto& records = x.earlier.records;
    while (records.size() + x.unknown < spent) {
      attempt_record record;
      record.number = static_cast<uint32_t>(records.size() + x.unknown + 1);
      record.started = x.earlier.age + (x.sent - x.accepted);
      record.duration = std::max(lost_at_, x.sent) - x.sent;
      record.result = errc::node_lost;
      records.push_back(std::move(record));
    }
    x.earlier.spent = spent;
  }

  /// The owner has spent attempts on a call, and goes on.
  void note_attempts(request_id id, attempts_made x) {
    auto i = by_id_.find(id);
    if (i == by_id_.end() || !is_from_owner_of(i->second))
      return;
    x = node::bounded(std::move(x));
    calls_.reported(i->second, x.spent);
    take_records(all_.at(i->second), std::move(x.records));
    serve();
  }

  bool is_from_owner_of(call_id id) const {
    auto i = owners_.find(calls_.owner_of(id));
    return i != owners_.end() && i->second.address == caf::actor_cast<caf::actor_addr>(self_->current_sender());
  }

  static void take_records(call& x, std::vector<attempt_record> records) {
    if (records.size() > x.earlier.records.size())
      x.earlier.records = std::move(records);
  }

  void end(const pending_calls::end& how) {
    auto node = all_.extract(how.call);
    auto& x = node.mapped();
    add_lost_attempts(x, how.attempts);
    auto why = how.code == errc::node_lost && how.attempts == 0 && refusal_
                 ? *refusal_
                 : make_failure(how.code, text_of(how), suggestion_of(how));
    why.model = x.model;
    why.attempts = std::move(x.earlier.records);
    if (how.code == errc::deadline_exceeded)
      withdraw_at(how.owner, x.id);
    fail(x, refuse(std::move(why)));
  }

  std::string text_of(const pending_calls::end& how) const {
    auto which = "node " + owner_name_ + ", which runs the provider,";
    switch (how.code) {
      case errc::outcome_unknown:
        return which + " was lost while it had the request";
      case errc::deadline_exceeded:
        return "the deadline passed; " + which
               + (calls_.is_resting()   ? " takes nothing new"
                  : calls_.owner() == 0 ? " cannot be reached"
                  : how.owner == 0      ? " is reached by a link that has more to carry than it can"
                                        : " gave no answer");
      default:
        return which
               + (how.attempts == 0 ? " cannot be reached"
                  : how.attempts >= settings_.retry.max_attempts
                    ? " was lost while it had the request, and no attempt is left (max_attempts)"
                    : " was lost while it had the request, and is not back")
               + (problem_.empty() ? "" : ": " + problem_);
    }
  }

  static std::string suggestion_of(const pending_calls::end& how) {
    if (how.attempts > 0 && how.code != errc::deadline_exceeded)
      return "the provider may have answered, and charged for it; ask again if that does no harm";
    return how.code == errc::node_lost ? "calls reach it again by themselves when the node is back" : "";
  }

  void forget(const call& x) {
    kept_ -= x.bytes;
    callers_->remove(x.caller);
    if (x.id)
      by_id_.erase(x.id);
    end_drain();
  }

  void fail(call& x, const caf::error& why) {
    if (x.drop) {
      x.drop();
      streams_.erase(x.id);
    }
    x.fail(why);
    forget(x);
  }

  /// Ends a call that was answered; false: it was over already.
  bool settle(call_id id) {
    auto node = all_.extract(id);
    if (node.empty())
      return false;
    calls_.remove(id);
    note_answered(node.mapped());
    forget(node.mapped());
    return true;
  }

  /// Then it had arrived, and what was sent before it.
  void note_answered(const call& x) {
    if (x.bytes > 0)
      note_arrived(x.at, x.number);
  }

  void take_error(call_id id, owner_id from, const caf::error& why) {
    if (why.category() != caf::type_id_v<errc>) // CAF's own: the owner's actor has ended without an answer
      return lose_owner(from, "its actor there has ended");
    auto i = all_.find(id);
    if (i == all_.end() || calls_.owner_of(id) != from)
      return;
    note_answered(i->second);
    if (is_given_back(i->second, id, why))
      return serve();
    calls_.remove(id);
    auto node = all_.extract(i);
    auto told = failure_of(why);
    node::bound(told);
    fail(node.mapped(), caf::make_error(told.code, told));
  }

  /// Whether the owner has ended a call for reasons of its own, so that another one, or the same later, may take it.
  bool is_given_back(call& x, call_id id, const caf::error& error) {
    auto at = now();
    if (error == errc::duplicate_request)
      return calls_.busy(id, at);
    if (error != errc::draining && error != errc::cancelled)
      return false;
    auto why = failure_of(error);
    node::bound(why);
    auto cut_off = error == errc::cancelled && !why.attempts.empty() && why.attempts.back().result == errc::cancelled;
    lost_at_ = at;
    take_records(x, std::move(why.attempts));
    calls_.given_back(id, cut_off, at);
    return true;
  }

  void lose_owner(owner_id who, std::string why) {
    auto i = owners_.find(who);
    if (i == owners_.end())
      return;
    forget_owner(who);
    auto is_current = calls_.owner() == who;
    if (is_current)
      problem_ = std::move(why);
    lost_at_ = now();
    calls_.lost(who, lost_at_);
    serve();
  }

  void on_death(const caf::actor_addr& who) {
    std::vector<owner_id> lost;
    for (auto& [id, x] : owners_)
      if (x.address == who)
        lost.push_back(id);
    for (auto id : lost)
      lose_owner(id, "the link to it broke");
    std::vector<call_id> theirs;
    for (auto& [id, x] : all_)
      if (x.caller == who)
        theirs.push_back(id);
    for (auto id : theirs)
      withdraw(id, "its caller has ended");
    arm();
  }

  // -- taking back ---------------------------------------------------------------------

  void withdraw_at(owner_id who, request_id id) {
    if (auto to = owner(who); to != nullptr && id)
      tell(self_, to, cancel_atom_v, id);
  }

  void withdraw(call_id id, const std::string& why) {
    auto node = all_.extract(id);
    if (node.empty())
      return;
    withdraw_at(calls_.owner_of(id), node.mapped().id);
    calls_.remove(id);
    fail(node.mapped(), refuse(make_failure(errc::cancelled, why)));
  }

  void cancel(request_id id) {
    if (auto i = splits_.find(id); i != splits_.end()) {
      if (auto split = caf::actor_cast<embedding_split_actor>(i->second))
        tell(self_, split, cancel_atom_v);
      splits_.erase(i);
    }
    if (auto i = by_id_.find(id); i != by_id_.end())
      withdraw(i->second, "cancelled by the caller");
    else if (auto stream = streams_.find(id); stream != streams_.end())
      withdraw_at(stream->second.owner, id); // the session tells the relay
    arm();
  }

  caf::result<void> drain(caf::timespan grace) {
    auto until = grace < time_point::max() - now() ? now() + grace : time_point::max();
    drain_end_ = draining_ ? std::min(drain_end_, until) : until;
    draining_ = true;
    if (all_.empty() && streams_.empty())
      return caf::unit;
    auto reply = self_->make_response_promise<void>();
    drains_.push_back(reply);
    arm();
    return reply;
  }

  void end_all() {
    std::vector<call_id> calls;
    for (auto& [id, x] : all_)
      calls.push_back(id);
    for (auto id : calls)
      withdraw(id, "the program is shutting down and its grace period is over");
    for (auto& [id, x] : streams_)
      withdraw_at(x.owner, id);
    drain_end_ = time_point::max();
  }

  void end_drain() {
    if (!all_.empty() || !streams_.empty())
      return;
    for (auto& x : std::exchange(drains_, {}))
      x.deliver();
  }

  // -- the rest --------------------------------------------------------------------------

  provider_status describe_loss() const {
    provider_status x;
    x.name = settings_.name;
    x.kind = to_string(settings_.kind);
    x.max_concurrent = settings_.max_concurrent;
    x.draining = draining_;
    x.waiting = calls_.size();
    x.predicted_wait = std::max<std::chrono::nanoseconds>(now() - lost_at_, std::chrono::seconds{1});
    x.problem = refusal_ ? refusal_->message
                         : "node " + owner_name_ + ", which runs it, "
                             + (calls_.is_resting() ? "takes nothing new: it ends, or replaces the provider"
                                                    : "cannot be reached")
                             + (problem_.empty() ? "" : ": " + problem_);
    return x;
  }

  void arm() {
    auto next = calls_.wake_at();
    if (!drains_.empty() && (!next || drain_end_ < *next))
      next = drain_end_;
    if (!next || *next == time_point::max() || (!wake_ups_.empty() && *wake_ups_.begin() <= *next))
      return;
    wake_ups_.insert(*next);
    run_at(self_, *next, [this] {
      wake_ups_.erase(wake_ups_.begin(), wake_ups_.upper_bound(now()));
      serve();
    });
  }

  caf::weak_actor_ptr weak() const { return caf::actor_cast<caf::weak_actor_ptr>(self_); }

  provider_settings settings_;
  node_settings node_;
  std::string owner_name_;
  std::function<void()> look_;
  uint64_t most_kept_;
  provider_actor::pointer self_ = nullptr;
  std::optional<callers<std::remove_pointer_t<provider_actor::pointer>>> callers_;
  std::mt19937_64 random_{std::random_device{}()};
  std::map<owner_id, known_owner> owners_;             ///< Those that are not lost.
  std::unordered_map<caf::actor_addr, traffic> links_; ///< With them.
  std::shared_ptr<node::shared_gate> gate_is_;         ///< To the latest one's node; null: all goes at once.
  std::unique_ptr<node::shared_gate::user> gate_;      ///< This proxy there.
  uint64_t kept_ = 0;                                  ///< Bytes of all calls.
  uint64_t losses_ = 0;
  time_point lost_at_;             ///< Or of the start.
  std::string problem_;            ///< Why no owner can be reached.
  std::optional<failure> refusal_; ///< That node does not run it.
  pending_calls calls_;
  std::unordered_map<call_id, call> all_;
  std::unordered_map<request_id, call_id> by_id_;
  std::unordered_map<request_id, open_stream> streams_; ///< Also of calls whose session is not there yet.
  uint64_t relays_ = 0;
  std::unordered_map<request_id, caf::weak_actor_ptr> splits_; ///< Of requests for many embeddings; some have ended.
  bool acknowledges_soon_ = false;                             ///< A timer is set for it.
  std::set<time_point> wake_ups_;
  bool draining_ = false;
  time_point drain_end_{};
  std::vector<caf::typed_response_promise<void>> drains_;
};

} // namespace

provider_proxy spawn_provider_proxy(caf::actor_system& system, const provider_settings& provider,
                                    const node_settings& node, std::function<void()> look, uint64_t most_kept) {
  auto core = std::make_shared<proxy>(system, provider, node, std::move(look), most_kept);
  provider_proxy result;
  result.actor = system.spawn([core](provider_actor::pointer self) { return core->make_behavior(self); });
  auto run = [to = caf::actor_cast<caf::weak_actor_ptr>(result.actor), core = std::weak_ptr{core}](auto f) {
    post_if_alive(to, [core, f = std::move(f)] {
      if (auto here = core.lock())
        f(*here);
    });
  };
  result.connect = [run](const found_owner& x) { run([x](proxy& y) { y.connect(x); }); };
  result.refuse = [run](failure why) { run([why = std::move(why)](proxy& y) { y.refuse_all(why); }); };
  result.disconnect = [run](std::string why) { run([why = std::move(why)](proxy& y) { y.disconnect(why); }); };
  return result;
}

} // namespace modelforge
