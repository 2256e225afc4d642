#include "actors/inquiry.hpp"

#include "actors/registry_view.hpp"
#include "actors/support/mail.hpp"
#include "telemetry/process_figures.hpp"
#include "telemetry/readiness.hpp"

#include <modelforge/actors/system.hpp>

#include <caf/actor_system.hpp>
#include <caf/behavior.hpp>
#include <caf/disposable.hpp>
#include <caf/event_based_actor.hpp>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <unistd.h>
#include <utility>

namespace modelforge {

namespace {

using telemetry::provider_state;

/// Gathers what is answered. Lives inside its actor, whose handlers keep it, as does the timer; the actor ends when all
/// have answered or the time is over, and later answers are dropped with it.
class inquiry : public std::enable_shared_from_this<inquiry> {
public:
  inquiry(caf::event_based_actor* self, status_receiver receiver)
    : self_(self), here_(caf::actor_cast<caf::weak_actor_ptr>(self)), receiver_(std::move(receiver)) {
    program_.pid = getpid();
    program_.build = telemetry::this_build();
    program_.started_at = telemetry::process_start();
    program_.uptime = // the clock may have been set back
      std::max<std::chrono::nanoseconds>(std::chrono::system_clock::now() - program_.started_at, {});
  }

  void start(const registry_actor& registry) {
    program_.is_answered = false;
    auto view = view_of(registry);
    if (!view)
      return finish();
    keep_time();
    ++left_;
    view.run([me = shared_from_this()](const registry_view& its) {
      me->on_own_thread([me, told = its.report()]() mutable { me->take(std::move(told)); });
    });
  }

  void start(const std::vector<provider_actor>& providers) {
    keep_time();
    ++left_; // until all are asked
    for (std::size_t i = 0; i < providers.size(); ++i) {
      auto& report = program_.providers.emplace_back();
      report.status.name = '#' + std::to_string(i + 1);
      look_at(i, providers[i]);
    }
    settle();
  }

private:
  void keep_time() {
    self_->become([](caf::unit_t) {}); // else an actor that waits for nothing but posts ends
    timer_ = self_->run_delayed(inquiry_time, [me = shared_from_this()] { me->finish(); });
  }

  /// From any thread, at any time.
  template <class F>
  void on_own_thread(F f) const {
    post_if_alive(here_, std::move(f));
  }

  void take(registry_report told) {
    program_.is_answered = true;
    program_.is_draining = told.is_draining;
    program_.settings = std::move(told.settings);
    program_.dropped_events = told.dropped_events;
    program_.dropped_requests = told.dropped_requests;
    program_.spans = told.spans;
    program_.node = std::move(told.node);
    if (told.ask_node) {
      ++left_;
      program_.node->is_answered = false;
      told.ask_node([me = shared_from_this()](telemetry::node_report node) {
        me->on_own_thread([me, node = std::move(node)]() mutable {
          me->program_.node = std::move(node);
          me->settle();
        });
      });
    }
    for (auto& provider : told.providers)
      add(std::move(provider));
    settle();
  }

  void add(registry_report::provider provider) {
    auto& report = program_.providers.emplace_back();
    report.owner = std::move(provider.owner);
    report.status.name = std::move(provider.name);
    report.status.kind = std::move(provider.kind);
    report.status.problem = std::move(provider.problem);
    if (provider.actor != nullptr)
      look_at(program_.providers.size() - 1, provider.actor);
    else
      report.state = provider_state::ended;
  }

  void look_at(std::size_t i, const provider_actor& provider) {
    program_.providers[i].state = provider_state::unanswered;
    ++left_;
    ask(self_, provider, status_atom_v)
      .then(
        [me = shared_from_this(), i](provider_status& told) {
          auto& report = me->program_.providers[i];
          report.state = telemetry::state_of(told, !report.owner.empty());
          if (!report.owner.empty()) // what it is called here is not for another node to say
            told.name = report.status.name;
          report.status = std::move(told);
          me->settle();
        },
        [me = shared_from_this(), i](const caf::error& why) {
          me->on_error(me->program_.providers[i], why);
          me->settle();
        });
  }

  /// A proxy tells of its owner's loss by an error of ours; else the actor itself has ended.
  static void on_error(telemetry::provider_report& report, const caf::error& why) {
    auto is_lost = !report.owner.empty() && why.category() == caf::type_id_v<errc>;
    report.state = is_lost ? provider_state::unreachable : provider_state::ended;
    if (is_lost)
      report.status.problem = failure_of(why).message;
  }

  /// One more has answered.
  void settle() {
    if (--left_ == 0)
      finish();
  }

  /// Hands on what has come so far, once.
  void finish() {
    timer_.dispose(); // it would keep the actor
    self_->quit();
    if (receiver_)
      std::exchange(receiver_, nullptr)(std::move(program_));
  }

  caf::event_based_actor* self_;
  caf::weak_actor_ptr here_;
  status_receiver receiver_; ///< Null: told.
  telemetry::program_status program_;
  std::size_t left_ = 0; ///< Who has not answered.
  caf::disposable timer_;
};

constexpr int max_own_threads = 4;
std::atomic<int> own_threads{0}; ///< Of all systems of this process.

/// Usually on a thread of its own, so that neither actors that are busy nor what is told of thousands of models keep
/// one another waiting. Questions that come faster than they are answered share the scheduler's.
template <class Source>
void spawn_inquiry(caf::actor_system& system, const Source& source, status_receiver receiver) {
  auto begin = [source, receiver = std::move(receiver)](caf::event_based_actor* self) {
    std::make_shared<inquiry>(self, receiver)->start(source);
  };
  if (++own_threads > max_own_threads) {
    --own_threads;
    system.spawn(std::move(begin));
    return;
  }
  auto actor = system.spawn<caf::detached>(std::move(begin));
  actor->attach_functor([] { --own_threads; });
}

} // namespace

void inquire(caf::actor_system& system, const registry_actor& registry, status_receiver receiver) {
  spawn_inquiry(system, registry, std::move(receiver));
}

void inquire(caf::actor_system& system, const std::vector<provider_actor>& providers, status_receiver receiver) {
  spawn_inquiry(system, providers, std::move(receiver));
}

} // namespace modelforge
