#pragma once

#include "actors/support/state_handle.hpp"
#include "telemetry/program_status.hpp"

#include <modelforge/messages/interfaces.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace modelforge {

/// What the registry knows at once of how the program stands. It asks nobody for it.
struct registry_report {
  struct provider {
    std::string name;
    std::string kind;
    std::string owner;    ///< The node that runs it; empty: this program.
    provider_actor actor; ///< Null: it has ended, and is started again.
    std::string problem;  ///< Why it has ended.
  };

  telemetry::settings_report settings;
  bool is_draining = false;
  uint64_t dropped_events = 0;                 ///< Of the log.
  uint64_t dropped_requests = 0;               ///< Of the access log.
  std::optional<telemetry::span_report> spans; ///< Empty: no traces are exported.
  std::vector<provider> providers;             ///< In the order of the settings.
  std::optional<telemetry::node_report> node;  ///< As the settings have it; empty: no node among others.
  /// Has the node tell its links and guests: calls what it is given on any thread, or never.
  std::function<void(std::function<void(telemetry::node_report)>)> ask_node;
};

/// What the registry's own program sees of it beside its messages. Called inside its actor.
class registry_view {
public:
  virtual ~registry_view() = default;

  virtual registry_report report() const = 0;

  /// Takes note, and tells the log, of settings that could not even be read.
  virtual void refuse_reload(const std::string& origin, const std::string& why) = 0;
};

/// Empty: it is no registry that `spawn_registry` has made in this program.
state_handle<registry_view> view_of(const registry_actor& registry);

} // namespace modelforge
