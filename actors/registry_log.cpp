#include "actors/registry_log.hpp"

#include "config/secret_mask.hpp"

#include <utility>

namespace modelforge {

using log::entry;
using log::event;
using log::field;

registry_report registry_log::report() const {
  registry_report result;
  result.dropped_events = dropped_events(log_);
  result.dropped_requests = dropped_requests(log_);
  if (traces()->share()) {
    auto counts = traces()->counts();
    result.spans = telemetry::span_report{counts.exported, counts.failed, counts.dropped};
  }
  return result;
}

std::optional<failure> registry_log::check(const settings& fresh, const settings* in_force) {
  if (in_force != nullptr)
    if (auto problem = log_->check(fresh.log))
      return problem;
  return traces_.prepare(fresh.telemetry, (in_force != nullptr ? *in_force : fresh).node.name);
}

void registry_log::take(const settings& fresh, const settings* in_force, const std::vector<provider_change>& changes) {
  auto all = std::make_shared<secret_mask>();
  all->keep(traces_.secrets());
  for (auto& change : changes)
    if (change.fresh)
      all->keep(*change.fresh->setup.secrets);
  mask(std::move(all));
  if (in_force != nullptr && !(fresh.log == in_force->log))
    log_->reconfigure(fresh.log);
  traces_.take();
}

void registry_log::keep_secrets(const provider::setup& setup) {
  auto all = std::make_shared<secret_mask>();
  all->keep(*setup.secrets);
  mask(std::move(all));
}

void registry_log::mask(std::shared_ptr<secret_mask> more) {
  if (secrets_ != nullptr)
    more->keep(*secrets_);
  secrets_ = std::move(more);
  log_->mask(secrets_);
  traces()->mask(secrets_);
}

std::string registry_log::masked(std::string text) const {
  if (secrets_ != nullptr)
    secrets_->mask(text, secret_mask::extent::cut);
  return text;
}

void registry_log::program_started(const node_settings& node, const std::string& listening,
                                   const std::vector<named_provider>& providers) {
  std::vector<std::string> names;
  for (auto& each : providers)
    names.push_back(each.name());
  tell_log(log_, event::node_started, [&](entry x) {
    return std::move(x)
      .with(field::version, MODELFORGE_VERSION)
      .with(field::node, node.name)
      .with(field::listening, listening)
      .with(field::providers, names);
  });
}

void registry_log::program_draining(caf::timespan grace) {
  tell_log(log_, event::node_draining, [&](entry x) { return std::move(x).with(field::grace_seconds, grace); });
}

void registry_log::program_stopped() {
  log_->write(entry{event::node_stopped});
}

void registry_log::tell(event what, const named_provider& provider) {
  tell_log(log_, what, [&](entry x) { return std::move(x).with(field::provider, provider.name()); });
}

void registry_log::started(const named_provider& provider) {
  tell_log(log_, event::provider_started, [&](entry x) {
    auto result =
      std::move(x).with(field::provider, provider.name()).with(field::kind, name_of(provider.settings.kind));
    if (provider.is_proxy())
      std::move(result).with(field::owner, provider.settings.nodes.front());
    return result;
  });
}

void registry_log::changed(const named_provider& provider) {
  tell(event::provider_changed, provider);
}

void registry_log::ended(const named_provider& provider) {
  tell(event::provider_ended, provider);
}

void registry_log::died(const named_provider& provider, std::chrono::nanoseconds wait) {
  tell_log(log_, event::provider_died, [&](entry x) {
    return std::move(x)
      .with(field::provider, provider.name())
      .with(field::reason, provider.problem)
      .with(field::wait_seconds, wait);
  });
}

void registry_log::reload_taken(const reload_report& report, const std::string& origin) {
  tell_log(log_, event::reload_taken, [&](entry x) {
    return std::move(x)
      .with(field::origin, origin)
      .with(field::changed, report.changed)
      .with(field::added, report.added)
      .with(field::replaced, report.replaced)
      .with(field::removed, report.removed)
      .with(field::needs_restart, report.needs_restart);
  });
}

void registry_log::reload_refused(const std::string& why, const std::string& origin) {
  tell_log(log_, event::reload_refused,
           [&](entry x) { return std::move(x).with(field::origin, origin).with(field::reason, why); });
}

} // namespace modelforge
