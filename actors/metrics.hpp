#pragma once

#include <modelforge/config/fwd.hpp>
#include <modelforge/messages/error.hpp>
#include <modelforge/messages/interfaces.hpp>

#include <caf/fwd.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace modelforge {

/// Tells over HTTP how the program stands (docs/monitoring.md): /healthz and /readyz for who starts and stops it,
/// Prometheus text at /metrics (all of the actor system's metrics among it), JSON at /status. It has a thread of its
/// own; no actor ever waits for it. End it before the actor system.
class metrics_server {
public:
  /// Closes the port; questions that are being answered are dropped.
  virtual ~metrics_server() = default;

  /// The port it listens on; where the settings say 0, the one that the system chose.
  virtual uint16_t port() const = 0;

  /// E.g. "http://127.0.0.1:9464".
  virtual std::string url() const = 0;
};

/// Serves `settings.listen` from now on. It keeps none of the providers alive: one that is gone is left out. A failure
/// (`errc::configuration`) says why the port cannot be had.
std::variant<std::unique_ptr<metrics_server>, failure> serve_metrics(caf::actor_system& system,
                                                                     const metrics_settings& settings,
                                                                     const std::vector<provider_actor>& providers);

/// Likewise for the providers that the registry has when somebody looks: what a reload adds, replaces or removes shows.
std::variant<std::unique_ptr<metrics_server>, failure>
serve_metrics(caf::actor_system& system, const metrics_settings& settings, const registry_actor& registry);

} // namespace modelforge
