#include <modelforge/actors/registry.hpp>

#include "actors/node.hpp"
#include "actors/provider_control.hpp"
#include "actors/provider_proxy.hpp"
#include "actors/support/mail.hpp"
#include "provider/heritage.hpp"
#include "provider/kept_limits.hpp"
#include "provider/setup.hpp"
#include "retry/restart_pace.hpp"

#include <modelforge/actors/system.hpp>
#include <modelforge/config/load.hpp>

#include <caf/actor_system.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
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

/// Whether this program runs the provider itself.
bool is_ours(const provider_settings& x, const node_settings& node) {
  return x.nodes.empty() || x.nodes.front() == node.name;
}

template <class Diagnostics>
std::optional<failure> errors_of(const Diagnostics& all) {
  std::string problems;
  for (auto& each : all)
    if (each.level == severity::error)
      problems += (problems.empty() ? "" : "\n") + to_string(each);
  if (problems.empty())
    return {};
  return make_failure(errc::configuration, problems);
}

/// Knows the providers by name. Runs inside the registry's actor, whose handlers keep it alive, but for the first
/// `apply`.
class registry : public std::enable_shared_from_this<registry> {
public:
  registry(caf::actor_system& system, std::optional<node_control> node)
    : system_(system), node_(std::move(node)), transport_(make_transport()) {}

  ~registry() {
    if (node_)
      caf::anon_send_exit(node_->actor, caf::exit_reason::user_shutdown);
    for (auto& x : providers_)
      caf::anon_send_exit(x.is.actor, caf::exit_reason::user_shutdown);
    for (auto& [id, x] : leaving_)
      caf::anon_send_exit(x.is.actor, caf::exit_reason::user_shutdown);
  }

  registry(const registry&) = delete;
  registry& operator=(const registry&) = delete;

  registry_actor::behavior_type make_behavior(registry_actor::pointer self) {
    self_ = self;
    for (auto& x : providers_)
      watch(x);
    return {
      [me = shared_from_this()](caf::get_atom, const std::string& wanted) { return me->find(wanted); },
      [this](names_atom) {
        provider_names result;
        for (auto& x : providers_)
          result.names.push_back(x.settings.name);
        return result;
      },
      [this](drain_atom, caf::timespan grace) { return drain(grace); },
      [this](status_atom x) -> caf::result<node_status> {
        if (!node_)
          return node_status{};
        return self_->delegate(node_->actor, x);
      },
      [this](reload_atom, const std::string& text, const std::string& origin) { return reload(text, origin); },
    };
  }

  /// Takes over all of `x`, or nothing and says why. `report` gets the providers' names.
  std::optional<failure> apply(settings x, reload_report& report) {
    if (self_ != nullptr)
      look_after_providers();
    std::vector<change> changes;
    std::vector<failure> problems;
    for (auto& each : x.providers) {
      auto prepared = prepare(each, x);
      if (auto* problem = std::get_if<failure>(&prepared)) {
        problem->provider = each.name;
        problems.push_back(std::move(*problem));
      } else {
        changes.push_back(std::get<change>(std::move(prepared)));
      }
    }
    if (problems.size() == 1)
      return std::move(problems.front());
    if (!problems.empty()) {
      std::string all;
      for (auto& each : problems)
        all += (all.empty() ? "" : "\n") + to_string(each);
      return make_failure(errc::configuration, all);
    }
    note_tables(x, report);
    std::erase_if(former_, [now = system_.clock().now()](auto& y) { return now - y.second.since > longest_window; });
    std::vector<named_provider> next;
    for (std::size_t i = 0; i < changes.size(); ++i)
      next.push_back(carry_out(std::move(x.providers[i]), std::move(changes[i]), x.runtime, report));
    for (auto& old : providers_)
      if (old.is.actor != nullptr) {
        report.removed.push_back(old.settings.name);
        if (!old.is.control) // another node's
          node_->remove_remote(old.settings.name);
        let_go(old, {});
      }
    providers_ = std::move(next);
    if (is_set_up_) { // what needs a restart stays as it is
      x.node = settings_.node;
      x.log = settings_.log;
      x.metrics = settings_.metrics;
      x.runtime.threads = settings_.runtime.threads;
      x.runtime.state_folder = settings_.runtime.state_folder;
    }
    is_set_up_ = true;
    settings_ = std::move(x);
    settings_.providers.clear();
    tell_node();
    return {};
  }

private:
  /// How an actor's end, of which nobody asked, is known. Written on the actor's own thread.
  struct life {
    std::string reason; ///< Before `is_over`.
    std::atomic<bool> is_over{false};
  };

  struct named_provider {
    provider_settings settings;
    controlled_provider is; ///< Of one that another node runs: only the actor.
    std::shared_ptr<life> watched{};
    std::shared_ptr<provider::limits_legacy> legacy{};
    retry::restart_pace pace{};
    std::optional<caf::actor_clock::time_point> start_at{}; ///< It has ended, and is started again then.
    std::string problem{};                                  ///< Why it has ended, or could not be started.
  };

  /// A provider that was taken out. Should it come back, what it had used of its limits counts.
  struct former {
    provider_settings settings;
    std::shared_ptr<provider::limits_legacy> legacy;
    caf::actor_clock::time_point since;
  };

  /// What is to be done for a provider, prepared so that it cannot fail.
  struct change {
    named_provider* old = nullptr;
    std::optional<provider_start> fresh; ///< Empty: nothing, or a proxy.
    bool in_place = false;
    bool untouched = false;
    uint64_t leaving = 0; ///< One that is to end is taken back instead; 0: none.
  };

  std::variant<change, failure> prepare(const provider_settings& x, const settings& all) {
    change result;
    auto i = std::find_if(providers_.begin(), providers_.end(), [&](auto& y) { return y.settings.name == x.name; });
    if (i != providers_.end())
      result.old = &*i;
    for (auto& [id, y] : leaving_)
      if (result.old == nullptr && y.settings.name == x.name && y.is.control && provider::can_become(y.settings, x))
        result.leaving = id; // the latest
    auto& node = is_set_up_ ? settings_.node : all.node;
    auto same_runtime = is_set_up_ && all.runtime == settings_.runtime;
    if (!is_ours(x, node)) {
      if (!node_)
        return make_failure(errc::configuration,
                            "another node, " + x.nodes.front()
                              + ", runs this provider, and this one "
                                "was started without [node]",
                            "start the program anew");
      result.untouched = result.old != nullptr && result.old->settings == x;
      return result;
    }
    auto setup = provider::prepare(x, all.runtime); // also where nothing seems changed: keys and headers may be new
    if (auto* problem = std::get_if<failure>(&setup))
      return std::move(*problem);
    result.fresh = provider_start{std::get<provider::setup>(std::move(setup))};
    result.in_place = result.old != nullptr && result.old->is.control && provider::can_become(result.old->settings, x);
    if (result.in_place) {
      result.untouched = same_runtime && result.old->settings == x;
      return result;
    }
    if (result.old == nullptr && result.leaving == 0)
      if (auto problem = result.fresh->limits.open(result.fresh->setup))
        return std::move(*problem);
    return result;
  }

  named_provider carry_out(provider_settings x, change how, const runtime_settings& runtime, reload_report& report) {
    auto name = x.name;
    if (how.in_place || how.untouched) {
      auto result = std::exchange(*how.old, {});
      result.settings = std::move(x);
      if (result.start_at)
        start_again(result, std::move(how.fresh));
      else if (how.fresh)
        reconfigure(result, std::move(how.fresh->setup));
      (how.untouched ? report.unchanged : report.changed).push_back(name);
      return result;
    }
    if (how.leaving != 0) {
      auto result = std::move(leaving_.extract(how.leaving).mapped());
      result.settings = std::move(x);
      reconfigure(result, std::move(how.fresh->setup));
      report.added.push_back(name);
      return result;
    }
    named_provider result;
    result.settings = std::move(x);
    if (auto i = former_.find(name); i != former_.end() && provider::can_become(i->second.settings, result.settings))
      result.legacy = i->second.legacy;
    start(result, std::move(how.fresh), runtime);
    auto replaces = how.old != nullptr;
    if (replaces && !how.old->is.control && result.is.control) // it was another node's
      node_->remove_remote(name);
    if (replaces)
      let_go(*how.old, result.is.control);
    (replaces ? report.replaced : report.added).push_back(name);
    return result;
  }

  static void reconfigure(const named_provider& x, provider::setup fresh) {
    x.is.control.run([fresh = std::move(fresh)](provider_control& provider) { provider.reconfigure(fresh); });
  }

  /// With nothing to begin with: a proxy.
  void start(named_provider& x, std::optional<provider_start> begin, const runtime_settings& runtime) {
    if (begin) {
      if (x.legacy == nullptr)
        x.legacy = std::make_shared<provider::limits_legacy>();
      begin->limits.share(x.legacy);
      x.is = spawn_controlled_provider(system_, std::move(*begin), transport_);
    } else {
      x.is = {spawn_proxy(x.settings, runtime), {}};
    }
    if (self_ != nullptr)
      watch(x);
  }

  // -- what ends, though nobody asked it to ----------------------------------------------

  void watch(named_provider& x) {
    x.watched = std::make_shared<life>();
    auto to = caf::actor_cast<caf::weak_actor_ptr>(self_);
    x.is.actor->attach_functor([is = x.watched, to, me = weak_from_this()](const caf::error& why) {
      is->reason = to_string(why);
      is->is_over = true;
      post_if_alive(to, [me] {
        if (auto here = me.lock())
          here->look_after_providers();
      });
    });
  }

  /// Starts what has ended again, with what it had used of its limits, at the pace that `restart_pace` allows.
  void look_after_providers() {
    auto is_news = false;
    for (auto& x : providers_) {
      if (x.is.actor == nullptr || draining_)
        continue;
      auto has_ended = !x.start_at && x.watched->is_over;
      if (has_ended)
        plan_start(x, x.watched->reason);
      auto is_due = x.start_at && *x.start_at <= self_->clock().now();
      if (is_due)
        start_again(x, {});
      is_news = is_news || has_ended || is_due;
    }
    if (is_news)
      tell_node();
  }

  void plan_start(named_provider& x, std::string why) {
    auto now = self_->clock().now();
    x.problem = std::move(why);
    x.start_at = now + x.pace.ended(now);
    if (*x.start_at > now)
      run_at(self_, *x.start_at, [me = weak_from_this()] {
        if (auto here = me.lock())
          here->look_after_providers();
      });
  }

  void start_again(named_provider& x, std::optional<provider_start> begin) {
    if (!begin && is_ours(x.settings, settings_.node)) {
      auto prepared = provider::prepare(x.settings, settings_.runtime);
      if (auto* problem = std::get_if<failure>(&prepared))
        return plan_start(x, problem->message);
      begin = provider_start{std::get<provider::setup>(std::move(prepared))};
    }
    if (begin) {
      static_cast<void>(begin->limits.open(begin->setup)); // what it kept is at hand anyway
      begin->problem = told(x);
    }
    x.start_at.reset();
    start(x, std::move(begin), settings_.runtime);
  }

  static std::string told(const named_provider& x) {
    return "it ended unasked and was started again (" + std::to_string(x.pace.ends())
           + (x.pace.ends() == 1 ? " time" : " times") + " so far), the last time by: " + x.problem;
  }

  provider_actor spawn_proxy(const provider_settings& x, const runtime_settings& runtime) {
    auto& node = node_->settings;
    auto proxy = spawn_provider_proxy(
      system_, x, node, [find = node_->find_again, name = x.name] { find(name); }, runtime.max_queued_bytes);
    auto result = proxy.actor;
    node_->add_remote({x.name, x.nodes.front(), std::move(proxy)});
    return result;
  }

  /// Lets an actor end when what it has is done; then the one that takes its place may open its file.
  void let_go(named_provider& old, const state_handle<provider_control>& successor) {
    auto actor = old.is.actor;
    auto id = ++leaving_id_;
    if (old.legacy)
      former_.insert_or_assign(old.settings.name, former{old.settings, old.legacy, system_.clock().now()});
    leaving_.emplace(id, std::exchange(old, {}));
    auto end = [this, id, successor] {
      auto i = leaving_.find(id);
      if (i == leaving_.end())
        return;
      auto& is = i->second.is.actor;
      if (successor) // it has let go of its file then
        is->attach_functor([successor](const caf::error&) {
          successor.run([](provider_control& provider) { provider.open_journal(); });
        });
      self_->send_exit(is, caf::exit_reason::user_shutdown);
      leaving_.erase(i);
    };
    auto grace = std::chrono::duration_cast<caf::timespan>(settings_.runtime.grace_period);
    ask(self_, actor, drain_atom_v, grace).then(end, [end](const caf::error&) { end(); });
  }

  void tell_node() {
    if (!node_)
      return;
    std::vector<owned_provider> owned;
    for (auto& x : providers_)
      if (is_ours(x.settings, node_->settings))
        owned.push_back(
          {x.settings.name, x.start_at ? provider_actor{} : x.is.actor,
           [control = x.is.control](const caf::strong_actor_ptr& who, std::string node) {
             control.run([who, node = std::move(node)](provider_control& provider) { provider.add_guest(who, node); });
           }});
    node_->set_owned(std::move(owned));
  }

  void note_tables(const settings& x, reload_report& report) const {
    if (!is_set_up_)
      return;
    if (!(x.node == settings_.node))
      report.needs_restart.push_back("node");
    if (x.runtime.threads != settings_.runtime.threads || x.runtime.state_folder != settings_.runtime.state_folder)
      report.needs_restart.push_back("runtime");
    if (!(x.log == settings_.log))
      report.needs_restart.push_back("log");
    if (!(x.metrics == settings_.metrics))
      report.needs_restart.push_back("metrics");
  }

  caf::result<reload_report> reload(const std::string& text, const std::string& origin) {
    auto refuse = [](const failure& why) { return caf::make_error(why.code, why); };
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
    } catch (const std::exception& x) { // it would end this actor, and all providers with it
      return refuse(make_failure(errc::internal, std::string{"the settings could not be taken over: "} + x.what()));
    }
    auto reply = self_->make_response_promise<reload_report>();
    auto left = std::make_shared<std::size_t>(1);
    auto in_force = [reply, report, left]() mutable {
      if (--*left == 0)
        reply.deliver(std::move(*report));
    };
    for (auto& x : providers_) {
      if (!x.is.control) // another node's
        continue;
      ++*left;
      ask(self_, x.is.actor, status_atom_v) // who answers this has taken over what it was told before
        .then([in_force](const provider_status&) mutable { in_force(); },
              [in_force](const caf::error&) mutable { in_force(); });
    }
    in_force();
    return reply;
  }

  caf::result<provider_actor> find(const std::string& wanted) {
    look_after_providers();
    std::string known;
    for (auto& x : providers_) {
      if ((wanted.empty() || x.settings.name == wanted) && x.start_at)
        return not_there(x);
      if (wanted.empty() || x.settings.name == wanted)
        return x.is.actor;
      known += (known.empty() ? "" : ", ") + x.settings.name;
    }
    return caf::make_error(errc::invalid_request,
                           make_failure(errc::invalid_request, "there is no provider \"" + wanted + "\"",
                                        known.empty() ? "none is configured" : "configured: " + known));
  }

  caf::error not_there(const named_provider& x) const {
    auto why = make_failure(errc::internal, "the provider has ended unasked, by: " + x.problem, "please report this");
    why.provider = x.settings.name;
    why.retry_after = *x.start_at - self_->clock().now();
    return caf::make_error(why.code, why);
  }

  /// All at once, not one after the other; one that has died has nothing left.
  caf::result<void> drain(caf::timespan grace) {
    draining_ = true;
    std::vector<provider_actor> all;
    for (auto& x : providers_)
      all.push_back(x.is.actor);
    for (auto& [id, x] : leaving_)
      all.push_back(x.is.actor);
    auto promise = self_->make_response_promise<void>();
    auto left = std::make_shared<std::size_t>(all.size());
    auto drained = [promise, left]() mutable {
      if (--*left == 0)
        promise.deliver();
    };
    for (auto& x : all)
      ask(self_, x, drain_atom_v, grace).then(drained, [drained](const caf::error&) mutable { drained(); });
    if (all.empty())
      promise.deliver();
    return promise;
  }

  caf::actor_system& system_;
  registry_actor::pointer self_ = nullptr;
  std::optional<node_control> node_; ///< Empty: no node among others.
  std::shared_ptr<http::client> transport_;
  settings settings_; ///< Those in force, but for the providers.
  bool is_set_up_ = false;
  std::vector<named_provider> providers_;      ///< In the order of the settings.
  std::map<uint64_t, named_provider> leaving_; ///< What they have is done still; then they end.
  std::map<std::string, former> former_;       ///< Those that have ended, or will.
  uint64_t leaving_id_ = 0;
  bool draining_ = false;
};

} // namespace

std::variant<registry_actor, failure> spawn_registry(caf::actor_system& system, const settings& x) {
  if (auto problem = errors_of(check(x)))
    return std::move(*problem);
  std::optional<node_control> node;
  if (!x.node.listen.empty() || !x.node.peers.empty()) {
    auto made = spawn_node(system, x.node);
    if (auto* problem = std::get_if<failure>(&made))
      return std::move(*problem);
    node = std::get<node_control>(std::move(made));
  }
  auto core = std::make_shared<registry>(system, std::move(node));
  reload_report ignored;
  if (auto problem = core->apply(x, ignored))
    return std::move(*problem);
  return system.spawn([core](registry_actor::pointer self) { return core->make_behavior(self); });
}

} // namespace modelforge
