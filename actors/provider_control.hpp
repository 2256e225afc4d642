#pragma once

#include "actors/support/state_handle.hpp"
#include "http/client.hpp"
#include "provider/kept_limits.hpp"
#include "provider/setup.hpp"
#include "trace/exporter.hpp"

#include <modelforge/actors/provider.hpp>
#include <modelforge/log/start_log.hpp>

#include <caf/fwd.hpp>

#include <memory>
#include <string>

namespace modelforge {

/// What only its own program may tell a provider's actor. The calls come inside that actor (see `state_handle`).
class provider_control {
public:
  virtual ~provider_control() = default;

  /// Takes over other settings, which it can become (`provider::can_become`): requests under way go on as they began.
  virtual void reconfigure(provider::setup fresh) = 0;

  /// Opens the file that keeps the limits' use; for one that was spawned while another actor had it.
  virtual void open_journal() = 0;

  /// What this actor asks for it asks for another node, as which it shares, until it ends.
  virtual void add_guest(const caf::strong_actor_ptr& who, std::string node) = 0;
};

/// A provider's actor, and the way to its control.
struct controlled_provider {
  provider_actor actor;
  state_handle<provider_control> control; ///< Empty: another node runs it.
};

/// What a provider's actor begins with.
struct provider_start {
  provider::setup setup;
  provider::kept_limits limits{};
  std::string problem{}; ///< What does not work, though requests do.
  log_handle log{};
  std::shared_ptr<trace::exporter> traces{}; ///< Null: nothing is traced.
};

controlled_provider spawn_controlled_provider(caf::actor_system& system, provider_start start,
                                              std::shared_ptr<http::client> transport);

} // namespace modelforge
