#include "actors/checked_registry.hpp"

#include "actors/named_provider.hpp"
#include "actors/node.hpp"
#include "actors/node_link.hpp"
#include "actors/provider_control.hpp"
#include "actors/provider_proxy.hpp"
#include "actors/registry_log.hpp"
#include "actors/registry_view.hpp"
#include "actors/settings_change.hpp"
#include "actors/support/ask_all.hpp"
#include "actors/support/error_of.hpp"
#include "actors/support/mail.hpp"
#include "actors/support/state_handle.hpp"
#include "actors/support/timer.hpp"
#include "config/check.hpp"
#include "provider/heritage.hpp"
#include "provider/kept_limits.hpp"
#include "provider/setup.hpp"
#include "retry/restart_pace.hpp"

#include <modelforge/actors/system.hpp>
#include <modelforge/config/load.hpp>

#include <caf/actor_system.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace modelforge {

namespace {

/// After it, what a provider had used of its limits does not count any more. (`rate_limit.window` is shorter.)
constexpr auto longest_window = std::chrono::hours{48};

/// Knows the providers by name: starts them, takes over other settings, starts again what ends unasked, drains them.
///
/// New settings are taken over in two steps. The first prepares a `provider_change` for each provider, and fails as a
/// whole; the second carries these out and cannot fail. A provider that is replaced or removed drains, and then ends;
/// what it has used of its limits goes to its successor, or waits for its return. Invariant: a name stands for one
/// provider that takes requests, or for none; what it was before drains in `leaving_`, and may still answer.
///
/// Hosts and commands ask it for providers by name; the runtime and `modelforge node` hand it other settings. What ends
/// unasked is started again at the pace of `retry::restart_pace`, by `timer_`. Everything runs inside its actor.
class registry_state : public registry_view {
public:
  static inline const char* name = "registry";

  /// `problem` says why the settings cannot be taken over; then the actor is of no use.
  registry_state(registry_actor::pointer self, std::optional<node_control> node, settings fresh, std::string origin,
                 log_handle log, std::optional<failure>& problem)
    : self_(self), node_(std::move(node)), log_(std::move(log)), history_(std::move(origin), wall_now()),
      transport_(make_transport()), timer_(self, [this] { look_after_providers(); }) {
    try {
      reload_report ignored;
      problem = apply(std::move(fresh), ignored);
      if (!problem)
        log_.program_started(settings_.node, node_ ? node_->listening : std::string{}, providers_);
    } catch (const std::exception& thrown) { // nobody would end what has begun
      problem = make_failure(errc::internal, std::string{"the settings could not be taken over: "} + thrown.what());
    }
  }

  ~registry_state() override {
    if (is_set_up_)
      log_.program_stopped();
    if (node_)
      caf::anon_send_exit(node_->actor, caf::exit_reason::user_shutdown);
    for (auto& each : providers_)
      caf::anon_send_exit(each.running.actor, caf::exit_reason::user_shutdown);
    for (auto& [id, each] : leaving_)
      caf::anon_send_exit(each.running.actor, caf::exit_reason::user_shutdown);
  }

  registry_actor::behavior_type make_behavior() {
    return {
      [this](caf::get_atom, const std::string& wanted) { return find(wanted); },
      [this](names_atom) {
        provider_names result;
        for (auto& each : providers_)
          result.names.push_back(each.name());
        return result;
      },
      [this](drain_atom, caf::timespan grace) { return drain(grace); },
      [this](status_atom atom) -> caf::result<node_status> {
        if (!node_)
          return node_status{};
        return self_->delegate(node_->actor, atom);
      },
      [this](reload_atom, const std::string& text, const std::string& origin) { return reload(text, origin); },
    };
  }

  registry_report report() const override {
    auto result = log_.report();
    result.settings = history_.report();
    result.is_draining = draining_;
    for (auto& each : providers_) {
      auto& told = result.providers.emplace_back(each.report(is_ours(each.settings, settings_.node)));
      told.problem = log_.masked(std::move(told.problem));
    }
    if (node_) {
      result.node = telemetry::node_report{status_of(node_->settings, node_->listening, {}, {}, now()), {}};
      result.ask_node = node_->report;
    }
    return result;
  }

  void refuse_reload(const std::string& origin, const std::string& why) override {
    log_.reload_refused(why, origin);
    history_.refuse(log_.masked(why), wall_now());
  }

private:
  /// A provider that was taken out. Should it come back, what it had used of its limits counts.
  struct former {
    provider_settings settings;
    std::shared_ptr<provider::limits_legacy> legacy;
    caf::actor_clock::time_point since;
  };

  caf::actor_clock::time_point now() const { return self_->clock().now(); }
  static telemetry::wall_time wall_now() { return std::chrono::system_clock::now(); }

  // -- other settings -----------------------------------------------------------------

  /// Takes over all of `fresh`, or nothing and says why. `report` gets the providers' names.
  std::optional<failure> apply(settings fresh, reload_report& report) {
    look_after_providers();
    std::vector<provider_change> changes;
    std::vector<failure> problems;
    for (auto& each : fresh.providers) {
      auto prepared = prepare(each, fresh);
      if (auto* problem = std::get_if<failure>(&prepared)) {
        problem->provider = each.name;
        problems.push_back(std::move(*problem));
      } else {
        changes.push_back(std::get<provider_change>(std::move(prepared)));
      }
    }
    auto* in_force = is_set_up_ ? &settings_ : nullptr;
    if (auto problem = log_.check(fresh, in_force))
      problems.push_back(std::move(*problem));
    if (!problems.empty())
      return joined(std::move(problems));
    log_.take(fresh, in_force, changes);
    if (is_set_up_)
      report.needs_restart = tables_that_need_restart(fresh, settings_);
    std::erase_if(former_, [at = now()](auto& entry) { return at - entry.second.since > longest_window; });
    std::vector<named_provider> next;
    for (std::size_t i = 0; i < changes.size(); ++i)
      next.push_back(carry_out(std::move(fresh.providers[i]), std::move(changes[i]), fresh.runtime, report));
    remove_others(report);
    providers_ = std::move(next);
    if (is_set_up_)
      keep_what_needs_restart(fresh, settings_);
    is_set_up_ = true;
    settings_ = std::move(fresh);
    settings_.providers.clear();
    tell_node();
    arm();
    return {};
  }

  /// Those that were not taken over.
  void remove_others(reload_report& report) {
    for (auto& old : providers_) {
      if (old.running.actor == nullptr)
        continue;
      report.removed.push_back(old.name());
      if (old.is_proxy())
        node_->remove_remote(old.name());
      let_go(old, {});
    }
  }

  /// The first step: says what is to become of one provider, and finds out what could fail (keys, headers, the limits'
  /// file) without changing anything that runs. It is untouched, changed in place, taken back from those that leave,
  /// or made anew; in the place of one that cannot become it, or as a proxy where another node runs it.
  std::variant<provider_change, failure> prepare(const provider_settings& wanted, const settings& fresh) {
    provider_change result;
    auto known = std::find_if(providers_.begin(), providers_.end(), [&](auto& x) { return x.name() == wanted.name; });
    if (known != providers_.end())
      result.old = &*known;
    else
      result.leaving = find_leaving(leaving_, wanted);
    if (!is_ours(wanted, is_set_up_ ? settings_.node : fresh.node)) {
      if (!node_)
        return make_failure(errc::configuration,
                            "another node, " + wanted.nodes.front()
                              + ", runs this provider, and this one was started without [node]",
                            "restart the program");
      result.untouched = result.old != nullptr && result.old->settings == wanted;
      return result;
    }
    auto setup = provider::prepare(wanted, fresh.runtime); // also where nothing seems changed: keys may be new
    if (auto* problem = std::get_if<failure>(&setup))
      return std::move(*problem);
    result.fresh = provider_start{std::get<provider::setup>(std::move(setup))};
    result.in_place =
      result.old != nullptr && !result.old->is_proxy() && provider::can_become(result.old->settings, wanted);
    if (result.in_place)
      result.untouched = is_set_up_ && fresh.runtime == settings_.runtime && result.old->settings == wanted;
    else if (result.old == nullptr && result.leaving == 0)
      if (auto problem = result.fresh->limits.open(result.fresh->setup))
        return std::move(*problem);
    return result;
  }

  /// The second step, which cannot fail. Returns the provider as it is from now on; `change.old` is empty afterwards.
  named_provider carry_out(provider_settings wanted, provider_change change, const runtime_settings& runtime,
                           reload_report& report) {
    auto name = wanted.name;
    if (change.in_place || change.untouched) {
      auto result = std::exchange(*change.old, {});
      result.settings = std::move(wanted);
      if (result.start_at)
        start_again(result, std::move(change.fresh));
      else if (change.fresh)
        result.reconfigure(std::move(change.fresh->setup));
      (change.untouched ? report.unchanged : report.changed).push_back(name);
      if (!change.untouched)
        log_.changed(result);
      return result;
    }
    if (change.leaving != 0) {
      auto result = std::move(leaving_.extract(change.leaving).mapped());
      result.settings = std::move(wanted);
      result.reconfigure(std::move(change.fresh->setup));
      log_.started(result);
      report.added.push_back(name);
      return result;
    }
    named_provider result;
    result.settings = std::move(wanted);
    if (auto i = former_.find(name); i != former_.end() && provider::can_become(i->second.settings, result.settings))
      result.legacy = i->second.legacy;
    start(result, std::move(change.fresh), runtime);
    if (change.old != nullptr)
      replace(*change.old, result);
    (change.old != nullptr ? report.replaced : report.added).push_back(name);
    return result;
  }

  void replace(named_provider& old, const named_provider& fresh) {
    if (old.is_proxy() && !fresh.is_proxy())
      node_->remove_remote(fresh.name());
    let_go(old, fresh.running.control);
  }

  /// With nothing to begin with: a proxy.
  void start(named_provider& provider, std::optional<provider_start> begin, const runtime_settings& runtime) {
    if (begin) {
      if (provider.legacy == nullptr)
        provider.legacy = std::make_shared<provider::limits_legacy>();
      begin->limits.share(provider.legacy);
      begin->log = log_.handle();
      begin->traces = log_.traces();
      provider.running = spawn_controlled_provider(self_->system(), std::move(*begin), transport_);
    } else {
      provider.running = {spawn_proxy(provider.settings, runtime), {}};
    }
    watch(provider);
    log_.started(provider);
  }

  // -- what ends, though nobody asked it to ----------------------------------------------

  void watch(named_provider& provider) {
    provider.death = std::make_shared<provider_death>();
    auto here = state_handle<registry_state>{caf::actor_cast<caf::weak_actor_ptr>(self_), this};
    provider.running.actor->attach_functor([death = provider.death, here](const caf::error& why) {
      death->reason = to_string(why);
      death->has_ended = true;
      here.run([](registry_state& registry) { registry.look_after_providers(); });
    });
  }

  /// Starts what has ended again, with what it had used of its limits, at the pace that `restart_pace` allows.
  void look_after_providers() {
    auto is_news = false;
    for (auto& provider : providers_) {
      if (provider.running.actor == nullptr || draining_)
        continue;
      auto has_ended = !provider.start_at && provider.death->has_ended;
      if (has_ended)
        plan_start(provider, provider.death->reason);
      auto is_due = provider.start_at && *provider.start_at <= now();
      if (is_due)
        start_again(provider, {});
      is_news = is_news || has_ended || is_due;
    }
    if (is_news)
      tell_node();
    arm();
  }

  /// Comes back for all that waits to be started again: the timer keeps the earliest only.
  void arm() {
    for (auto& provider : providers_)
      if (!draining_)
        timer_.arm(provider.start_at);
  }

  void plan_start(named_provider& provider, std::string why) {
    provider.problem = std::move(why);
    auto wait = provider.pace.ended(now());
    provider.start_at = now() + wait; // `arm` follows
    log_.died(provider, wait);
  }

  void start_again(named_provider& provider, std::optional<provider_start> begin) {
    if (!begin && is_ours(provider.settings, settings_.node)) {
      auto prepared = provider::prepare(provider.settings, settings_.runtime);
      if (auto* problem = std::get_if<failure>(&prepared))
        return plan_start(provider, problem->message);
      begin = provider_start{std::get<provider::setup>(std::move(prepared))};
      log_.keep_secrets(begin->setup); // its keys were read again
    }
    if (begin) {
      static_cast<void>(begin->limits.open(begin->setup)); // what it kept is at hand anyway
      begin->problem = provider.restart_note();
    }
    provider.start_at.reset();
    start(provider, std::move(begin), settings_.runtime);
  }

  provider_actor spawn_proxy(const provider_settings& provider, const runtime_settings& runtime) {
    auto proxy = spawn_provider_proxy(
      self_->system(), provider, node_->settings, [find = node_->find_again, name = provider.name] { find(name); },
      runtime.max_queued_bytes, log_.handle());
    auto result = proxy.actor;
    node_->add_remote({provider.name, provider.nodes.front(), std::move(proxy)});
    return result;
  }

  /// Lets an actor end when what it has is done; then the one that takes its place may open its file.
  void let_go(named_provider& old, const state_handle<provider_control>& successor) {
    auto actor = old.running.actor;
    auto id = ++leaving_id_;
    log_.ended(old);
    if (old.legacy)
      former_.insert_or_assign(old.name(), former{old.settings, old.legacy, now()});
    leaving_.emplace(id, std::exchange(old, {}));
    auto end = [this, id, successor] {
      auto i = leaving_.find(id);
      if (i == leaving_.end())
        return;
      auto& drained = i->second.running.actor;
      if (successor) // it has let go of its file then
        drained->attach_functor([successor](const caf::error&) {
          successor.run([](provider_control& provider) { provider.open_journal(); });
        });
      self_->send_exit(drained, caf::exit_reason::user_shutdown);
      leaving_.erase(i);
    };
    auto grace = std::chrono::duration_cast<caf::timespan>(settings_.runtime.grace_period);
    ask(self_, actor, drain_atom_v, grace).then(end, [end](const caf::error&) { end(); });
  }

  void tell_node() {
    if (!node_)
      return;
    std::vector<owned_provider> owned;
    for (auto& each : providers_)
      if (is_ours(each.settings, node_->settings))
        owned.push_back(each.owned());
    node_->set_owned(std::move(owned));
  }

  /// Takes over other settings, all or none. Answers when every provider has: each is asked for its status, which it
  /// answers behind what it was told before.
  caf::result<reload_report> reload(const std::string& text, const std::string& origin) {
    auto refuse = [&](const failure& why) {
      refuse_reload(origin, why.message);
      return error_of(why);
    };
    if (draining_)
      return refuse(make_failure(errc::draining, "the program is shutting down"));
    auto report = std::make_shared<reload_report>();
    try {
      auto parsed = parse(text, origin);
      if (!parsed.value)
        return refuse(*errors_of(parsed.diagnostics));
      if (auto problem = node_ ? node_->renew_credentials() : std::nullopt)
        return refuse(*problem);
      if (auto problem = apply(std::move(*parsed.value), *report))
        return refuse(*problem);
    } catch (const std::exception& problem) { // it would end this actor, and all providers with it
      return refuse(
        make_failure(errc::internal, std::string{"the settings could not be taken over: "} + problem.what()));
    }
    log_.reload_taken(*report, origin);
    history_.take(origin, wall_now());
    std::vector<provider_actor> changed; // who answers its status has taken over what it was told before
    for (auto& each : providers_)
      if (!each.is_proxy())
        changed.push_back(each.running.actor);
    auto reply = self_->make_response_promise<reload_report>();
    ask_all<provider_status>(
      self_, changed, [reply, report]() mutable { reply.deliver(std::move(*report)); }, status_atom_v);
    return reply;
  }

  caf::result<provider_actor> find(const std::string& wanted) {
    look_after_providers();
    for (auto& each : providers_)
      if (wanted.empty() || each.name() == wanted) {
        if (each.start_at)
          return error_of(each.unavailable(now()));
        return each.running.actor;
      }
    return error_of(unknown_provider(wanted, providers_));
  }

  /// All at once, not one after the other; one that has died has nothing left.
  caf::result<void> drain(caf::timespan grace) {
    draining_ = true;
    log_.program_draining(grace);
    std::vector<provider_actor> all;
    for (auto& each : providers_)
      all.push_back(each.running.actor);
    for (auto& [id, each] : leaving_)
      all.push_back(each.running.actor);
    auto reply = self_->make_response_promise<void>();
    ask_all(
      self_, all, [reply]() mutable { reply.deliver(); }, drain_atom_v, grace);
    return reply;
  }

  registry_actor::pointer self_;
  std::optional<node_control> node_; ///< Empty: no node among others.
  registry_log log_;
  settings_history history_;
  std::shared_ptr<http::client> transport_;
  settings settings_; ///< Those in force, but for the providers.
  bool is_set_up_ = false;
  std::vector<named_provider> providers_;      ///< In the order of the settings.
  std::map<uint64_t, named_provider> leaving_; ///< What they have is done still; then they end.
  std::map<std::string, former> former_;       ///< Those that have ended, or will.
  uint64_t leaving_id_ = 0;
  timer timer_; ///< When something is to be started again.
  bool draining_ = false;
};

} // namespace

state_handle<registry_view> view_of(const registry_actor& registry) {
  using implementation = registry_actor::stateful_impl<registry_state>;
  if (dynamic_cast<implementation*>(caf::actor_cast<caf::abstract_actor*>(registry)) == nullptr)
    return {};
  return state_of<registry_state>(registry);
}

std::variant<registry_actor, failure> spawn_registry(caf::actor_system& system, const settings& all, log_handle log,
                                                     std::string origin) {
  if (auto problem = errors_of(check(all)))
    return std::move(*problem);
  if (log == nullptr) {
    auto started = start_log(all.log);
    if (auto* why = std::get_if<failure>(&started))
      return std::move(*why);
    log = std::get<log_handle>(std::move(started));
  }
  return spawn_checked_registry(system, all, std::move(log), std::move(origin));
}

std::variant<registry_actor, failure> spawn_checked_registry(caf::actor_system& system, const settings& all,
                                                             log_handle log, std::string origin) {
  std::optional<node_control> node;
  if (!all.node.listen.empty() || !all.node.peers.empty()) {
    auto made = spawn_node(system, all.node, log);
    if (auto* why = std::get_if<failure>(&made))
      return std::move(*why);
    node = std::get<node_control>(std::move(made));
  }
  std::optional<failure> problem;
  auto result = system.spawn<registry_actor::stateful_impl<registry_state>>(std::move(node), all, std::move(origin),
                                                                            log, std::ref(problem));
  if (!problem)
    return result;
  caf::anon_send_exit(result, caf::exit_reason::user_shutdown);
  return std::move(*problem);
}

} // namespace modelforge
