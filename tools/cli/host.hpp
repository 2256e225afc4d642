#pragma once

#include <modelforge/actors/metrics.hpp>
#include <modelforge/actors/registry.hpp>
#include <modelforge/actors/system.hpp>
#include <modelforge/log/start_log.hpp>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace modelforge::cli {

/// What every command that has actors needs around them: the actor system, a registry with the providers, and the
/// metrics port. `session`, `running_node` and `idle_providers` stand on it.
///
/// What it owns ends in the right order with it: the port, the registry with its providers, then the system, which
/// waits until all actors are gone; so handles of actors that the owner keeps have to go before.
class host {
public:
  /// An actor system for these settings, with nothing in it. `Settings`: all of them, or `runtime_settings`.
  template <class Settings>
  explicit host(const Settings& settings) {
    init_types();
    apply(settings, config_);
    system_ = std::make_unique<caf::actor_system>(config_);
  }

  ~host();

  host(const host&) = delete;
  host& operator=(const host&) = delete;

  /// Spawns the registry with a provider for each in the settings, which are those that the system was made for, and
  /// starts the log. By default it is that of a command which says itself what goes wrong: it is kept where the
  /// settings ask for it.
  std::optional<failure> start(const settings& all, const log_options& log = {{}, log_level::warning, "none"});

  /// Starts the metrics port, where the settings name one. `Providers`: as `modelforge::serve_metrics` takes them.
  template <class Providers>
  std::optional<failure> serve_metrics(const metrics_settings& settings, const Providers& providers) {
    if (settings.listen.empty())
      return {};
    auto served = modelforge::serve_metrics(*system_, settings, providers);
    if (auto* problem = std::get_if<failure>(&served))
      return std::move(*problem);
    metrics_ = std::get<0>(std::move(served));
    return {};
  }

  /// The same, but what keeps it from starting is only told: another program may have the port.
  template <class Providers>
  void watch(const metrics_settings& settings, const Providers& providers) {
    if (auto problem = serve_metrics(settings, providers))
      warn_unwatched(*problem);
  }

  /// Where the metrics are; empty if they are nowhere.
  std::string metrics_url() const { return metrics_ ? metrics_->url() + "/metrics" : std::string{}; }

  /// A provider by its name in the settings.
  provider_actor find(const std::string& name);

  /// How this program stands among other nodes.
  node_status status();

  /// What the providers do now, in the order of the settings; one that does not answer within `max_time`, counted over
  /// all of them, is left out.
  std::vector<provider_status> provider_statuses(std::chrono::milliseconds max_time);

  caf::actor_system& system() { return *system_; }
  const log_handle& log() const { return log_; }
  const registry_actor& registry() const { return registry_; }

private:
  void warn_unwatched(const failure& problem);

  log_handle log_; ///< Ends last, so that it has all that actors tell. Null until `start`.
  caf::actor_system_config config_;
  std::unique_ptr<caf::actor_system> system_;
  registry_actor registry_; ///< Null until it is spawned.
  std::unique_ptr<metrics_server> metrics_;
};

} // namespace modelforge::cli
