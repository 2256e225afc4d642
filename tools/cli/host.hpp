#pragma once

#include "telemetry/program_status.hpp"

#include <modelforge/actors/metrics.hpp>
#include <modelforge/actors/registry.hpp>
#include <modelforge/actors/system.hpp>
#include <modelforge/log/start_log.hpp>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>

#include <memory>
#include <optional>
#include <string>
#include <variant>

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
  /// settings ask for it. `origin`: the file that they are from, for the status.
  std::optional<failure> start(const settings& all, std::string origin,
                               const log_options& log = {{}, log_level::warning, "none"});

  /// Starts the metrics port, where the settings name one. What keeps it from starting is only told: another program
  /// may have the port.
  void watch(const metrics_settings& settings);

  /// Where the metrics are; empty if they are nowhere.
  std::string metrics_url() const { return metrics_ ? metrics_->url() + "/metrics" : std::string{}; }

  /// A provider by its name in the settings.
  provider_actor find(const std::string& name);

  /// How this program stands among other nodes.
  node_status status();

  /// How the program stands, as /status has it. Returns in time, whoever hangs; empty: not even who asks has answered.
  std::optional<telemetry::program_status> program_status();

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
