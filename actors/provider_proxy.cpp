#include "actors/provider_proxy.hpp"

#include "actors/embedding_split.hpp"
#include "actors/stream_relay.hpp"
#include "actors/support/callers.hpp"
#include "actors/support/handover.hpp"
#include "actors/support/mail.hpp"
#include "actors/support/message_size.hpp"
#include "node/pending_calls.hpp"

#include <modelforge/actors/system.hpp>

#include <caf/actor_system.hpp>
#include <caf/exit_reason.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

namespace modelforge {

namespace {

using node::pending_calls;
using time_point = pending_calls::time_point;
using call_id = pending_calls::call_id;

/// What a call that is asked for without a deadline of its own may take.
constexpr auto question_time = std::chrono::seconds{30};

/// Vectors of which nobody said how long they are.
constexpr uint64_t usual_dimensions = 4096;

pending_calls::settings calls_of(const provider_settings& provider, const node_settings& node) {
  pending_calls::settings x;
  x.retry_uncertain = provider.retry.retry_uncertain;
  x.max_attempts = provider.retry.max_attempts;
  x.patience = node.timeout;
  return x;
}

/// Everything but its making runs inside the proxy's actor, which its handlers keep alive.
class proxy : public std::enable_shared_from_this<proxy> {
public:
  proxy(caf::actor_system& system, const provider_settings& provider, const node_settings& node,
        std::function<void()> lost)
    : settings_(provider), node_(node), owner_name_(provider.nodes.front()), tell_lost_(std::move(lost)),
      calls_(calls_of(provider, node), system.clock().now()) {}

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
        if (owner_ == nullptr)
          return describe_loss();
        return question<provider_status>(x);
      },
      [this](drain_atom, caf::timespan grace) { return drain(grace); },
    };
  }

  void connect(const provider_actor& owner) {
    drop_owner();
    refusal_.reset();
    owner_ = owner;
    owner_is_ = callers_->add(caf::actor_cast<caf::strong_actor_ptr>(owner));
    calls_.up(now());
    serve();
  }

  void disconnect(std::string why) {
    problem_ = std::move(why);
    drop_owner();
    calls_.lost(now());
    serve();
  }

  void refuse_all(failure why) {
    problem_ = why.message;
    refusal_ = std::move(why);
    drop_owner();
    calls_.lost(now());
    calls_.give_up(now());
    serve();
  }

private:
  struct call {
    request_id id; ///< Empty: a question that nobody can cancel.
    caf::actor_addr caller;
    std::string model;
    time_point accepted;
    std::optional<time_point> deadline;
    time_point sent{};
    std::vector<attempt_record> attempts;
    std::function<void(call_id)> send;
    std::function<void()> drop; ///< What the attempt before left; may be empty.
    std::function<void(const caf::error&)> fail;
  };

  time_point now() const { return self_->clock().now(); }

  void drop_owner() {
    if (owner_ != nullptr)
      callers_->remove(owner_is_);
    owner_ = nullptr;
    owner_is_ = {};
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
    return {};
  }

  template <class Answer, class Request>
  caf::result<Answer> accept(Request x, const std::string& instead) {
    call made;
    auto problem = prepare(x, made.deadline);
    if (!problem)
      problem = too_large_for_nodes(x, node_.max_message_bytes, "the request", instead);
    if (problem)
      return refuse(std::move(*problem));
    made.id = x.id;
    made.model = x.model;
    return begin<Answer>(std::move(made), [this, x = std::make_shared<Request>(std::move(x))](const call& y) {
      auto again = *x;
      if (y.deadline)
        again.deadline = *y.deadline - now();
      return again;
    });
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
    made.send = [this, reply, message = std::move(message)](call_id id) {
      ask(self_, owner_, message(all_.at(id)))
        .then(
          [this, reply, id](Answer& x) mutable {
            if (settle(id))
              reply.deliver(std::move(x));
          },
          [this, id](const caf::error& why) { take_error(id, why); });
    };
    start(std::move(made));
    return reply;
  }

  void start(call made) {
    made.accepted = now();
    auto id = calls_.add(made.deadline, made.accepted);
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
      problem = too_large_for_nodes(x, node_.max_message_bytes, "the request", "shorten the prompt");
    if (problem)
      return refuse(std::move(*problem));
    made.id = x.chat.id;
    made.model = x.chat.model;
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
    if (made.deadline)
      x.chat.deadline = *made.deadline - now();
    relay_parts parts{stream,
                      to,
                      caf::actor_cast<provider_actor>(self_),
                      settings_.name,
                      owner_name_,
                      [to = weak(), me = weak_from_this(), stream] {
                        post_if_alive(to, [me, stream] {
                          if (auto here = me.lock())
                            here->end_stream(stream);
                        });
                      }};
    auto relay = spawn_stream_relay(self_->system(), std::move(parts));
    if (made.drop)
      made.drop();
    made.drop = relay.drop;
    ask(self_, owner_, std::move(x), relay.subscriber)
      .then(
        [this, relay, reply, stream, id](const stream_session_actor& session) mutable {
          if (!settle(id))
            return;
          streams_.emplace(stream, relay);
          relay.begin(session);
          reply.deliver(relay.session);
        },
        [this, id](const caf::error& why) { take_error(id, why); });
  }

  void end_stream(request_id id) {
    streams_.erase(id);
    end_drain();
  }

  // -- what comes of them ------------------------------------------------------------

  void serve() {
    auto at = now();
    while (auto step = calls_.next(at)) {
      if (auto* send = std::get_if<pending_calls::send>(&*step)) {
        handover soon;
        auto& x = all_.at(send->call);
        if (send->attempt > 1)
          add_attempt(x, x.sent, at);
        x.sent = at;
        auto copy = x.send; // it may replace parts of the call
        copy(send->call);
      } else {
        end(std::get<pending_calls::end>(*step), at);
      }
    }
    if (draining_ && drain_end_ <= at)
      end_all();
    arm();
  }

  /// The owner may have made it, and is gone.
  static void add_attempt(call& x, time_point sent, time_point at) {
    attempt_record record;
    record.number = static_cast<uint32_t>(x.attempts.size() + 1);
    record.started = sent - x.accepted;
    record.duration = at - sent;
    record.result = errc::node_lost;
    x.attempts.push_back(std::move(record));
  }

  void end(const pending_calls::end& how, time_point at) {
    auto node = all_.extract(how.call);
    auto& x = node.mapped();
    if (how.attempts > x.attempts.size())
      add_attempt(x, x.sent, at);
    auto why = how.code == errc::node_lost && how.attempts == 0 && refusal_
                 ? *refusal_
                 : make_failure(how.code, text_of(how), suggestion_of(how));
    why.model = x.model;
    why.attempts = std::move(x.attempts);
    if (how.code == errc::deadline_exceeded)
      withdraw_at_owner(x.id);
    fail(x, refuse(std::move(why)));
  }

  std::string text_of(const pending_calls::end& how) const {
    auto which = "node " + owner_name_ + ", which runs the provider,";
    switch (how.code) {
      case errc::outcome_unknown:
        return which + " was lost while it had the request";
      case errc::deadline_exceeded:
        return "the deadline passed; " + which + (owner_ != nullptr ? " gave no answer" : " cannot be reached");
      default:
        return which + (how.attempts > 0 ? " was lost while it had the request, and is not back" : " cannot be reached")
               + (problem_.empty() ? "" : ": " + problem_);
    }
  }

  static std::string suggestion_of(const pending_calls::end& how) {
    if (how.attempts > 0 && how.code != errc::deadline_exceeded)
      return "the provider may have answered, and charged for it; ask again if that does no harm";
    return how.code == errc::node_lost ? "calls reach it again by themselves when the node is back" : "";
  }

  void forget(const call& x) {
    callers_->remove(x.caller);
    if (x.id)
      by_id_.erase(x.id);
    end_drain();
  }

  void fail(call& x, const caf::error& why) {
    if (x.drop)
      x.drop();
    x.fail(why);
    forget(x);
  }

  /// Ends a call that was answered; false: it was over already.
  bool settle(call_id id) {
    auto node = all_.extract(id);
    if (node.empty())
      return false;
    calls_.remove(id);
    forget(node.mapped());
    return true;
  }

  void take_error(call_id id, const caf::error& why) {
    if (why.category() != caf::type_id_v<errc>) { // CAF's own: the owner's actor has ended without an answer
      if (owner_ != nullptr)
        lose_owner("its actor there has ended");
      return;
    }
    if (auto node = all_.extract(id); !node.empty()) {
      calls_.remove(id);
      fail(node.mapped(), why);
    }
  }

  void lose_owner(std::string why) {
    disconnect(std::move(why));
    tell_lost_();
  }

  void on_death(const caf::actor_addr& who) {
    if (who == owner_is_)
      return lose_owner("the link to it broke");
    std::vector<call_id> theirs;
    for (auto& [id, x] : all_)
      if (x.caller == who)
        theirs.push_back(id);
    for (auto id : theirs)
      withdraw(id, "its caller has ended");
    arm();
  }

  // -- taking back ---------------------------------------------------------------------

  void withdraw_at_owner(request_id id) {
    if (id && owner_ != nullptr)
      tell(self_, owner_, cancel_atom_v, id);
  }

  void withdraw(call_id id, const std::string& why) {
    auto node = all_.extract(id);
    if (node.empty())
      return;
    calls_.remove(id);
    withdraw_at_owner(node.mapped().id);
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
    else if (streams_.count(id) > 0)
      withdraw_at_owner(id); // the session tells the relay
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
      withdraw_at_owner(id);
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
    x.problem =
      "node " + owner_name_ + ", which runs it, cannot be reached" + (problem_.empty() ? "" : ": " + problem_);
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
  std::function<void()> tell_lost_;
  provider_actor::pointer self_ = nullptr;
  std::optional<callers<std::remove_pointer_t<provider_actor::pointer>>> callers_;
  std::mt19937_64 random_{std::random_device{}()};
  provider_actor owner_; ///< Null: it cannot be reached.
  caf::actor_addr owner_is_;
  std::string problem_;            ///< Why not.
  std::optional<failure> refusal_; ///< That node does not run it.
  pending_calls calls_;
  std::unordered_map<call_id, call> all_;
  std::unordered_map<request_id, call_id> by_id_;
  std::unordered_map<request_id, stream_relay> streams_;
  std::unordered_map<request_id, caf::weak_actor_ptr> splits_; ///< Of requests for many embeddings; some have ended.
  std::set<time_point> wake_ups_;
  bool draining_ = false;
  time_point drain_end_{};
  std::vector<caf::typed_response_promise<void>> drains_;
};

} // namespace

provider_proxy spawn_provider_proxy(caf::actor_system& system, const provider_settings& provider,
                                    const node_settings& node, std::function<void()> lost) {
  auto core = std::make_shared<proxy>(system, provider, node, std::move(lost));
  provider_proxy result;
  result.actor = system.spawn([core](provider_actor::pointer self) { return core->make_behavior(self); });
  auto run = [to = caf::actor_cast<caf::weak_actor_ptr>(result.actor), core = std::weak_ptr{core}](auto f) {
    post_if_alive(to, [core, f = std::move(f)] {
      if (auto here = core.lock())
        f(*here);
    });
  };
  result.connect = [run](const provider_actor& x) { run([x](proxy& y) { y.connect(x); }); };
  result.refuse = [run](failure why) { run([why = std::move(why)](proxy& y) { y.refuse_all(why); }); };
  result.disconnect = [run](std::string why) { run([why = std::move(why)](proxy& y) { y.disconnect(why); }); };
  return result;
}

} // namespace modelforge
