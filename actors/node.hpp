#pragma once

#include "actors/provider_proxy.hpp"
#include "telemetry/program_status.hpp"

#include <modelforge/config/settings.hpp>
#include <modelforge/log/start_log.hpp>
#include <modelforge/messages/interfaces.hpp>

#include <caf/fwd.hpp>

#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace modelforge {

/// A provider that this node runs, for the others.
struct owned_provider {
  std::string name;
  provider_actor actor; ///< Null: it is to be started again; who asks for it is answered then.
  /// Lets it know for which node an actor asks (see `controlled_provider`); may be empty.
  std::function<void(const caf::strong_actor_ptr& who, std::string node)> admit{};
};

/// A provider that another node runs.
struct remote_provider {
  std::string name;
  std::string owner; ///< Name of that node.
  provider_proxy proxy;
};

/// This program as a node among others: the actor that others reach, and the links to them. The functions may be called
/// from any thread.
struct node_control {
  node_actor actor;
  node_settings settings;
  std::string listening; ///< HOST:PORT, the port as the system chose it; empty: nowhere.
  std::function<void(std::vector<owned_provider>)> set_owned;
  std::function<void(remote_provider)> add_remote;
  std::function<void(std::string name)> remove_remote;
  /// Asks the provider's owner for its actor, if there is a link.
  std::function<void(std::string name)> find_again;
  /// Has the node tell its links and guests: calls what it is given inside the node's actor, or never.
  std::function<void(std::function<void(telemetry::node_report)>)> report;
  /// Reads the files in [node.tls] again. A failure says why they cannot be used; then nothing has changed.
  std::function<std::optional<failure>()> renew_credentials;
};

/// Listens and connects as `settings` says. A failure (`errc::configuration`) says why it cannot: a port that is taken,
/// a certificate that cannot be used, an actor system that was made without `apply(settings, config)`. Blocks until the
/// port is open, so call it from no actor. The node ends by an exit message.
std::variant<node_control, failure> spawn_node(caf::actor_system& system, const node_settings& settings,
                                               log_handle log = {});

} // namespace modelforge
