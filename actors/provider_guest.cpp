#include "actors/provider_guest.hpp"

#include "actors/support/callers.hpp"
#include "actors/support/handover.hpp"
#include "actors/support/mail.hpp"
#include "actors/support/message_size.hpp"

#include <caf/actor_system.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <algorithm>
#include <type_traits>
#include <unordered_map>
#include <utility>

namespace modelforge {

namespace {

/// Bytes of a stream's past that are kept because another node asks for it.
constexpr uint64_t most_kept = 64u << 20;

class guest_state {
public:
  static inline const char* name = "provider_guest";

  guest_state(provider_actor::pointer self, provider_actor provider, std::string node,
              const caf::strong_actor_ptr& watched, uint64_t most)
    : self_(self), provider_(std::move(provider)), node_("node " + std::move(node)), most_(most),
      callers_(self, [this](const caf::actor_addr&, const caf::error&) { leave(); }),
      keep_(caf::actor_cast<caf::strong_actor_ptr>(self)) {
    callers_.add(watched);
    callers_.add(caf::actor_cast<caf::strong_actor_ptr>(provider_));
    self->set_exit_handler([this](caf::exit_msg&) { leave(); });
  }

  provider_actor::behavior_type make_behavior() {
    return {
      [this](chat_request& x) {
        name_tenant(x);
        return pass<completion>(std::move(x), "ask for it as a stream");
      },
      [this](stream_request& x, const stream_subscriber_actor& to) {
        name_tenant(x.chat);
        if (x.log_limit)
          x.log_limit = std::min(*x.log_limit, most_kept);
        if (x.whole_text) // the last message repeats them
          x.log_limit = std::min(x.log_limit.value_or(most_ / 2), most_ / 2);
        return pass<stream_session_actor>(std::move(x), to);
      },
      [this](embedding_request& x) {
        name_tenant(x);
        return pass<embedding>(std::move(x), "give fewer inputs");
      },
      [](const batch_job_request&, const batch_job_listener_actor&) -> caf::result<batch_job_actor> {
        return refuse(make_failure(errc::unsupported, "jobs of a batch API run on the node that owns the provider",
                                   "run the batch there, or live"));
      },
      [this](models_atom x) { return pass<model_list>(x, "ask on the node that owns the provider"); },
      [this](cancel_atom x, request_id id) { tell(self_, provider_, x, id); },
      [this](status_atom x) { return pass<provider_status>(x, "ask on the node that owns the provider"); },
      [](drain_atom, caf::timespan) -> caf::result<void> {
        return refuse(make_failure(errc::permission, "a provider is drained on its own node only"));
      },
      [this](request_id id, attempts_made& x) {
        if (auto i = reports_.find(id); i != reports_.end())
          tell(self_, i->second, id, std::move(x));
      },
    };
  }

private:
  static caf::error refuse(const failure& why) { return caf::make_error(why.code, why); }

  template <class Request>
  void name_tenant(Request& x) const {
    if (x.tenant.empty())
      x.tenant = node_;
  }

  template <class Answer, class Question>
  caf::result<Answer> pass(Question x, std::string instead) {
    handover soon;
    auto id = expect_report(x);
    auto reply = self_->make_response_promise<Answer>();
    ask(self_, provider_, std::move(x))
      .then(
        [this, id, reply, most = most_, instead = std::move(instead)](Answer& y) mutable {
          reports_.erase(id);
          if (auto why = too_large_for_nodes(y, most, "the answer, which the provider has given,", instead))
            reply.deliver(refuse(*why));
          else
            reply.deliver(std::move(y));
        },
        [this, id, reply](const caf::error& why) mutable {
          reports_.erase(id);
          reply.deliver(why);
        });
    return reply;
  }

  /// Who is told of the attempts that a request takes, if it is to be.
  template <class Question>
  request_id expect_report(const Question& x) {
    if constexpr (std::is_same_v<Question, chat_request> || std::is_same_v<Question, embedding_request>)
      if (x.earlier.report && x.id) {
        reports_.insert_or_assign(x.id, caf::actor_cast<provider_actor>(self_->current_sender()));
        return x.id;
      }
    return {};
  }

  template <class Answer>
  caf::result<Answer> pass(stream_request x, const stream_subscriber_actor& to) {
    auto reply = self_->make_response_promise<Answer>();
    ask(self_, provider_, std::move(x), to)
      .then([reply](Answer& y) mutable { reply.deliver(std::move(y)); },
            [reply](const caf::error& why) mutable { reply.deliver(why); });
    return reply;
  }

  /// The provider withdraws what is under way, since its caller has ended.
  void leave() {
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
};

} // namespace

provider_actor spawn_provider_guest(caf::actor_system& system, provider_actor provider, std::string node,
                                    caf::strong_actor_ptr watched, uint64_t max_message_bytes) {
  return system.spawn<provider_actor::stateful_impl<guest_state>>(std::move(provider), std::move(node),
                                                                  std::move(watched), max_message_bytes);
}

} // namespace modelforge
