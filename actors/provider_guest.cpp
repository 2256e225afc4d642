#include "actors/provider_guest.hpp"

#include "actors/support/callers.hpp"
#include "actors/support/error_of.hpp"
#include "actors/support/handover.hpp"
#include "actors/support/mail.hpp"
#include "actors/support/message_size.hpp"
#include "actors/support/state_handle.hpp"
#include "actors/support/timer.hpp"
#include "node/peer_traffic.hpp"

#include <caf/actor_system.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <unordered_map>
#include <utility>

namespace modelforge {

namespace {

/// Bytes of a stream's past that are kept because another node asks for it.
constexpr uint64_t max_kept = 64u << 20;

/// Bytes of answers that wait for the link; with more, nothing new is asked for its node.
constexpr uint64_t max_held = 64u << 20;

/// Stands for another node's program at a provider: takes its calls over the link and passes them on as its own. So the
/// provider sees a local caller, and withdraws everything when the guest ends with its link. It bounds what the link
/// carries in both directions: requests are acknowledged once the provider has taken them in, answers that may be large
/// wait for room, in order, and too many of them refuse new requests. A request without a tenant gets the node's name,
/// so that a node does not pass for this node's own.
class guest_state {
public:
  static inline const char* name = "provider_guest";

  guest_state(provider_actor::pointer self, provider_actor provider, std::string node,
              const caf::strong_actor_ptr& watched, uint64_t most, std::shared_ptr<node::shared_gate> gate)
    : self_(self), provider_(std::move(provider)), node_("node " + std::move(node)), most_(most),
      callers_(self, [this](const caf::actor_addr& who, const caf::error&) { on_death(who); }),
      keep_(caf::actor_cast<caf::strong_actor_ptr>(self)) {
    lives_by_ = {callers_.add(watched), callers_.add(caf::actor_cast<caf::strong_actor_ptr>(provider_))};
    self->set_exit_handler([this](caf::exit_msg&) { leave(); });
    if (gate != nullptr)
      traffic_.enter(std::move(gate),
                     [to = state_handle<guest_state>{caf::actor_cast<caf::weak_actor_ptr>(self), this}] {
                       to.run([](guest_state& state) { state.send_answers(); });
                     });
  }

  provider_actor::behavior_type make_behavior() {
    return {
      [this](chat_request& request) {
        name_tenant(request);
        auto due = hear(request);
        auto result = pass<completion>(std::move(request), "ask for it as a stream");
        acknowledge(due);
        return result;
      },
      [this](stream_request& request, const stream_subscriber_actor& subscriber) {
        name_tenant(request.chat);
        auto due = hear(request);
        if (request.log_limit)
          request.log_limit = std::min(*request.log_limit, max_kept);
        if (request.whole_text) // the last message repeats them
          request.log_limit = std::min(request.log_limit.value_or(most_ / 2), most_ / 2);
        auto result = pass<stream_session_actor>(std::move(request), subscriber);
        acknowledge(due);
        return result;
      },
      [this](embedding_request& request) {
        name_tenant(request);
        auto due = hear(request);
        auto result = pass<embedding>(std::move(request), "give fewer inputs");
        acknowledge(due);
        return result;
      },
      [](const batch_job_request&, const batch_job_listener_actor&) -> caf::result<batch_job_actor> {
        return error_of(make_failure(errc::unsupported, "jobs of a batch API run on the node that owns the provider",
                                     "run the batch there, or live"));
      },
      [this](models_atom x) { return pass<model_list>(x, "ask on the node that owns the provider"); },
      [this](cancel_atom atom, request_id id) {
        tell(self_, provider_, atom, id);
        drop_answers([id](auto& y) { return y.id == id; });
      },
      [this](status_atom x) { return pass<provider_status>(x, "ask on the node that owns the provider"); },
      [](drain_atom, caf::timespan) -> caf::result<void> {
        return error_of(make_failure(errc::permission, "a provider is drained on its own node only"));
      },
      [this](request_id id, attempts_made& made) {
        if (auto i = reports_.find(id); i != reports_.end())
          tell(self_, i->second, id, std::move(made));
      },
      [this](received_atom, uint64_t count) {
        traffic_.acknowledged(caf::actor_cast<caf::actor_addr>(self_->current_sender()), count);
      },
    };
  }

private:
  /// An answer that waits for room on the link.
  struct held_answer {
    request_id id;
    caf::actor_addr to;
    uint64_t bytes = 0;
    std::function<void(bool is_wanted)> deliver;
  };

  template <class Request>
  void name_tenant(Request& request) const {
    if (request.tenant.empty())
      request.tenant = node_;
  }

  /// That so many requests have arrived.
  struct receipt {
    provider_actor to;
    uint64_t count = 0;
  };

  /// Takes note of a request of which its asker wants to know that it has arrived; returns what is to be told now.
  template <class Request>
  std::optional<receipt> hear(const Request& request) {
    auto& who = self_->current_sender();
    if (who == nullptr)
      return {};
    auto address = caf::actor_cast<caf::actor_addr>(who);
    if (traffic_.add(address))
      callers_.add(who);
    if (auto count = traffic_.received(address, message_size(request), self_->clock().now()))
      return receipt{caf::actor_cast<provider_actor>(who), *count};
    timer_.arm(traffic_.due_at());
    return {};
  }

  /// As soon as the provider has taken in what it was given so far: its mailbox is no place for a flood, since others'
  /// requests would wait behind it.
  void acknowledge(const std::optional<receipt>& received) {
    if (received)
      ask(self_, provider_, received_atom_v, received->count)
        .then([this, received = *received] { tell(self_, received.to, received_atom_v, received.count); },
              [](const caf::error&) {});
  }

  void acknowledge_late() {
    for (auto& due : traffic_.take_due(self_->clock().now()))
      if (auto target = caf::actor_cast<caf::strong_actor_ptr>(due.peer))
        acknowledge(receipt{caf::actor_cast<provider_actor>(target), due.count});
    timer_.arm(traffic_.due_at());
  }

  /// Passes a call on and its answer back. An answer too large for a message is refused here, with words for what to do
  /// `instead`.
  template <class Answer, class Question>
  caf::result<Answer> pass(Question question, std::string instead) {
    constexpr auto is_large = std::is_same_v<Answer, completion> || std::is_same_v<Answer, embedding>;
    if (is_large && held_ >= max_held)
      return error_of(make_failure(errc::queue_full, "answers to this node wait for its link, which is slow",
                                   "ask again when they have arrived"));
    handover soon;
    auto id = expect_report(question);
    auto target = caf::actor_cast<caf::actor_addr>(self_->current_sender());
    auto reply = self_->make_response_promise<Answer>();
    ask(self_, provider_, std::move(question))
      .then(
        [this, id, target, reply, instead = std::move(instead)](Answer& y) mutable {
          reports_.erase(id);
          auto size = message_size(y);
          if (auto why = too_large_for_nodes(size, most_, "the answer, which the provider has given,", instead))
            reply.deliver(error_of(*why));
          else
            deliver(std::move(reply), std::move(y), {id, target, size, {}});
        },
        [this, id, reply](const caf::error& why) mutable {
          reports_.erase(id);
          reply.deliver(why);
        });
    return reply;
  }

  /// What may be large goes when there is room for it.
  template <class Answer>
  void deliver(caf::typed_response_promise<Answer> reply, Answer answer, held_answer held) {
    if constexpr (std::is_same_v<Answer, completion> || std::is_same_v<Answer, embedding>) {
      if (answers_.empty() && take_room(held))
        return reply.deliver(std::move(answer));
      held.deliver = [reply, kept = std::make_shared<Answer>(std::move(answer))](bool is_wanted) mutable {
        if (is_wanted)
          reply.deliver(std::move(*kept));
        else
          reply.deliver(error_of(make_failure(errc::cancelled, "cancelled by the caller")));
      };
      held_ += held.bytes;
      answers_.push_back(std::move(held));
    } else {
      reply.deliver(std::move(answer));
    }
  }

  /// Takes room on the link for an answer. False: it must wait.
  bool take_room(const held_answer& answer) {
    if (!traffic_.take_room(answer.bytes))
      return false;
    if (traffic_.contains(answer.to))
      traffic_.sent(answer.to, answer.bytes);
    else
      traffic_.give_back(answer.bytes); // nobody acknowledges it
    return true;
  }

  /// Called when room has come free; stops at the first answer that does not fit, so that none overtakes.
  void send_answers() {
    while (!answers_.empty() && take_room(answers_.front())) {
      answers_.front().deliver(true);
      held_ -= answers_.front().bytes;
      answers_.pop_front();
    }
    if (answers_.empty())
      traffic_.withdraw();
  }

  /// Gives up answers that nobody waits for any more; others may fit then.
  template <class Condition>
  void drop_answers(Condition is_unwanted) {
    auto drop = [&](held_answer& answer) {
      auto result = is_unwanted(answer);
      if (result) {
        held_ -= answer.bytes;
        answer.deliver(false);
      }
      return result;
    };
    if (std::erase_if(answers_, drop) > 0)
      send_answers();
  }

  /// It lives no longer than its link and its provider; any other death is that of one asker.
  void on_death(const caf::actor_addr& who) {
    if (std::find(lives_by_.begin(), lives_by_.end(), who) != lives_by_.end())
      return leave();
    traffic_.remove(who);
    drop_answers([&](auto& x) { return x.to == who; });
  }

  /// Who is told of the attempts that a request takes, if it is to be.
  template <class Question>
  request_id expect_report(const Question& question) {
    if constexpr (std::is_same_v<Question, chat_request> || std::is_same_v<Question, embedding_request>)
      if (question.earlier.report && question.id) {
        reports_.insert_or_assign(question.id, caf::actor_cast<provider_actor>(self_->current_sender()));
        return question.id;
      }
    return {};
  }

  template <class Answer>
  caf::result<Answer> pass(stream_request request, const stream_subscriber_actor& subscriber) {
    auto reply = self_->make_response_promise<Answer>();
    ask(self_, provider_, std::move(request), subscriber)
      .then([reply](Answer& y) mutable { reply.deliver(std::move(y)); },
            [reply](const caf::error& why) mutable { reply.deliver(why); });
    return reply;
  }

  /// The provider withdraws what is under way, since its caller has ended.
  void leave() {
    traffic_.leave();
    keep_ = nullptr;
    self_->quit();
  }

  provider_actor::pointer self_;
  provider_actor provider_;
  std::string node_; ///< As a tenant.
  uint64_t most_;
  callers<std::remove_pointer_t<provider_actor::pointer>> callers_;
  caf::strong_actor_ptr keep_;                             ///< Itself, until the end.
  std::unordered_map<request_id, provider_actor> reports_; ///< Who hears what is spent on a request.
  std::array<caf::actor_addr, 2> lives_by_;                ///< Without these it ends.
  node::peer_traffic<caf::actor_addr> traffic_;            ///< With the proxies on the other node.
  timer timer_{self_, [this] { acknowledge_late(); }};
  std::deque<held_answer> answers_; ///< In the order in which they go.
  uint64_t held_ = 0;               ///< Bytes of these.
};

} // namespace

provider_actor spawn_provider_guest(caf::actor_system& system, provider_actor provider, std::string node,
                                    caf::strong_actor_ptr watched, uint64_t max_message_bytes,
                                    std::shared_ptr<node::shared_gate> gate) {
  return system.spawn<provider_actor::stateful_impl<guest_state>>(
    std::move(provider), std::move(node), std::move(watched), max_message_bytes, std::move(gate));
}

} // namespace modelforge
