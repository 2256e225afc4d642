#include "actors/stream_relay.hpp"

#include "actors/support/callers.hpp"
#include "actors/support/error_of.hpp"
#include "actors/support/handover.hpp"
#include "actors/support/mail.hpp"
#include "node/told_answers.hpp"

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace modelforge {

namespace {

/// How long what a session has sent may be on its way when the session is known to have ended.
constexpr auto last_words = std::chrono::seconds{5};

/// Stands on the subscriber's node for a stream of another one. To the session it is the subscriber, to the subscriber
/// the session; so neither side sees the link, and its loss ends the stream with words instead of silence. Demand is
/// passed through: the relay itself holds only what the subscriber has granted. Later subscribers get relays of their
/// own, whose grants come by way of this one. Everything runs inside the relay's actor, which its handlers keep alive.
class relay : public std::enable_shared_from_this<relay> {
public:
  explicit relay(relay_parts parts)
    : parts_(std::move(parts)), reader_(caf::actor_cast<caf::actor_addr>(parts_.subscriber)) {}

  caf::behavior make_behavior(caf::event_based_actor* self) {
    self_ = self;
    keep_ = caf::actor_cast<caf::strong_actor_ptr>(self);
    callers_.emplace(self, [this](const caf::actor_addr& who, const caf::error& why) { on_death(who, why); });
    self->set_exit_handler([this](caf::exit_msg&) {
      tell_end(make_failure(errc::cancelled, "the stream was ended on the subscriber's node"));
      quit();
    });
    callers_->add(caf::actor_cast<caf::strong_actor_ptr>(parts_.subscriber));
    proxy_ = callers_->add(caf::actor_cast<caf::strong_actor_ptr>(std::exchange(parts_.proxy, nullptr)));
    return {
      // the session
      [me = shared_from_this()](stream_chunk& x) { me->take(std::move(x)); },
      [this](stream_done& x) { take(std::move(x)); },
      [this](stream_failed& x) { take(std::move(x)); },
      // the subscriber, and others on this node
      [this](grant_atom, uint32_t chunks) { grant(chunks); },
      [this](subscribe_atom, const stream_subscriber_actor& who, const subscription& subscription) {
        return subscribe(who, subscription);
      },
      [this](cancel_atom) {
        if (has_session())
          tell(self_, session_, cancel_atom_v);
      },
      [this](status_atom) { return status(); },
    };
  }

  void begin(const stream_session_actor& session) {
    if (session_ || left_)
      return;
    session_is_ = callers_->add(caf::actor_cast<caf::strong_actor_ptr>(session));
    take_session(session);
  }

  /// The subscriber needs it no more. Those that came later by way of it do: their demand goes through it.
  void leave() {
    is_done_ = true;
    if (later_.empty())
      quit();
  }

  void quit() {
    if (std::exchange(left_, true))
      return;
    if (parts_.ended)
      std::exchange(parts_.ended, nullptr)();
    keep_ = nullptr;
    self_->quit();
  }

  /// For the subscriber, whoever was told.
  void grant_own(uint32_t chunks) {
    if (has_session())
      tell(self_, session_, grant_atom_v, chunks);
  }

private:
  /// From now on the session is known, so what came before may be handed over.
  void take_session(const stream_session_actor& session) {
    session_ = session;
    for (auto& early : std::exchange(early_, {}))
      std::visit([this](auto& y) { hand_over(std::move(y)); }, early);
  }

  template <class T>
  void take(T value) {
    handover soon;
    node::bound(value);
    if (session_)
      hand_over(std::move(value));
    else
      early_.emplace_back(std::move(value)); // at most what the subscriber has granted, and the end
  }

  /// Counts before it hands over: the figures of a failure are those that have arrived.
  void hand_over(stream_chunk chunk) {
    pieces_ = chunk.next;
    tokens_ = chunk.tokens;
    if (is_done_)
      grant_own(1); // a reader that is gone holds no other one back
    else
      tell(self_, parts_.subscriber, std::move(chunk));
  }

  template <class T>
  void hand_over(T value) {
    if (!is_done_)
      tell(self_, parts_.subscriber, std::move(value));
    leave();
  }

  /// Of the subscriber itself, or of one that came later and has a relay of its own.
  void grant(uint32_t chunks) {
    auto who = caf::actor_cast<caf::actor_addr>(self_->current_sender());
    if (!who)
      return;
    if (who == reader_)
      grant_own(chunks);
    else if (auto i = later_.find(who); i != later_.end())
      i->second(chunks);
  }

  /// Lets another actor of this node in, by a relay of its own.
  caf::result<void> subscribe(const stream_subscriber_actor& who, const subscription& subscription) {
    auto address = caf::actor_cast<caf::actor_addr>(who);
    if (parts_.joins != nullptr && address == reader_)
      return join(subscription);
    if (who == nullptr || address == reader_ || later_.count(address) > 0) {
      auto why = who == nullptr ? make_failure(errc::invalid_request, "there is no subscriber")
                                : make_failure(errc::duplicate_request, "this actor takes the stream already");
      return error_of(why);
    }
    if (!has_session())
      return lost();
    auto parts = parts_;
    parts.subscriber = who;
    parts.proxy = caf::actor_cast<provider_actor>(proxy_);
    parts.joins = session_;
    parts.ended = [me = weak_from_this(), to = caf::actor_cast<caf::weak_actor_ptr>(self_), address] {
      post_if_alive(to, [me, address] {
        if (auto here = me.lock())
          here->end_later(address);
      });
    };
    auto other = spawn_stream_relay(self_->system(), std::move(parts));
    later_.emplace(address, other.grant);
    return self_->delegate(other.session, subscribe_atom_v, who,
                           subscription); // it asks by itself, whoever ends meanwhile
  }

  void end_later(const caf::actor_addr& who) {
    later_.erase(who);
    if (is_done_)
      leave();
  }

  /// Begins a relay that was made for a later subscriber: asks the session to take it in, and answers when it has.
  caf::result<void> join(const subscription& subscription) {
    auto session = std::exchange(parts_.joins, nullptr);
    session_is_ = callers_->add(caf::actor_cast<caf::strong_actor_ptr>(session));
    auto reply = self_->make_response_promise<void>();
    joining_ = reply;
    ask(self_, session, subscribe_atom_v, caf::actor_cast<stream_subscriber_actor>(self_), subscription)
      .then(
        [this, session] {
          if (joining_)
            std::exchange(joining_, std::nullopt)->deliver();
          take_session(session);
        },
        [this](const caf::error& why) {
          refuse_join(why.category() == caf::type_id_v<errc> ? why : lost());
          leave();
        });
    return reply;
  }

  void refuse_join(const caf::error& why) {
    if (joining_)
      std::exchange(joining_, std::nullopt)->deliver(why);
  }

  caf::result<stream_status> status() {
    if (!has_session())
      return lost();
    auto reply = self_->make_response_promise<stream_status>();
    ask(self_, session_, status_atom_v)
      .then([reply](stream_status& x) mutable { reply.deliver(std::move(x)); },
            [reply](const caf::error& x) mutable { reply.deliver(x); });
    return reply;
  }

  /// Whether there is somebody to ask: what is sent to an actor that has ended elsewhere gets no answer.
  bool has_session() const { return session_ && !session_ended_; }

  void on_death(const caf::actor_addr& who, const caf::error& why) {
    if (who == session_is_ && why != caf::exit_reason::remote_link_unreachable) {
      // It has ended by itself, so its last words were sent. The news of its end can overtake them.
      session_ended_ = true;
      return run_at(self_, self_->clock().now() + last_words, [me = shared_from_this()] { me->end_lost(); });
    }
    if (who == session_is_)
      return end_lost();
    if (who == proxy_) {
      tell_end(make_failure(errc::cancelled, "its provider has ended"));
      quit();
    } else if (who == reader_) {
      leave();
      if (!left_)
        grant_own(1); // it may have had none left
    }
  }

  /// The session is gone without an end for the subscriber.
  void end_lost() {
    if (joining_)
      refuse_join(lost());
    else
      tell_end(lost_failure());
    quit();
  }

  void tell_end(failure why) {
    if (!left_ && !is_done_)
      tell(self_, parts_.subscriber, stream_failed{parts_.stream, std::move(why), pieces_, tokens_});
  }

  failure lost_failure() const {
    auto why = make_failure(pieces_ > 0 ? errc::stream_interrupted : errc::node_lost,
                            "node " + parts_.owner + ", which had the stream, was lost after " + std::to_string(pieces_)
                              + " pieces",
                            "the provider may have answered, and charged for it; ask again if that does no harm");
    why.provider = parts_.provider;
    return why;
  }

  caf::error lost() const { return error_of(lost_failure()); }

  relay_parts parts_;
  caf::actor_addr reader_;
  caf::event_based_actor* self_ = nullptr;
  caf::strong_actor_ptr keep_; ///< Itself, until the end.
  std::optional<callers<caf::event_based_actor>> callers_;
  stream_session_actor session_; ///< Null until it took the subscriber in.
  bool session_ended_ = false;
  caf::actor_addr session_is_;
  caf::actor_addr proxy_;
  std::vector<std::variant<stream_chunk, stream_done, stream_failed>> early_; ///< Came before that was known.
  std::unordered_map<caf::actor_addr, std::function<void(uint32_t)>> later_;
  std::optional<caf::typed_response_promise<void>> joining_; ///< Whether the session takes it in is to be told.
  uint64_t pieces_ = 0;
  uint64_t tokens_ = 0;
  bool is_done_ = false; ///< The subscriber has its end, or is gone.
  bool left_ = false;
};

} // namespace

stream_relay spawn_stream_relay(caf::actor_system& system, relay_parts parts) {
  auto core = std::make_shared<relay>(std::move(parts));
  auto actor = system.spawn([core](caf::event_based_actor* self) { return core->make_behavior(self); });
  auto target = caf::actor_cast<caf::weak_actor_ptr>(actor);
  auto run = [target, core = std::weak_ptr{core}](auto f) {
    post_if_alive(target, [core, f = std::move(f)] {
      if (auto here = core.lock())
        f(*here);
    });
  };
  stream_relay result;
  result.subscriber = caf::actor_cast<stream_subscriber_actor>(actor);
  result.session = caf::actor_cast<stream_session_actor>(actor);
  result.begin = [run](const stream_session_actor& x) { run([x](relay& y) { y.begin(x); }); };
  result.drop = [run] { run([](relay& y) { y.quit(); }); };
  result.grant = [run](uint32_t chunks) { run([chunks](relay& y) { y.grant_own(chunks); }); };
  return result;
}

} // namespace modelforge
