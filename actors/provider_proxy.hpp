#pragma once

#include "node/shared_gate.hpp"

#include <modelforge/config/settings.hpp>
#include <modelforge/log/start_log.hpp>
#include <modelforge/messages/interfaces.hpp>

#include <caf/fwd.hpp>

#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace modelforge {

/// The owner's actor for this node (see `spawn_provider_guest`), and what bounds the bytes on their way to its node.
struct found_owner {
  found_owner(provider_actor provider, std::shared_ptr<node::shared_gate> gate = {})
    : actor(std::move(provider)), gate(std::move(gate)) {}

  provider_actor actor;
  std::shared_ptr<node::shared_gate> gate; ///< Null: there is no bound.
};

/// Why an owner cannot be asked any more, though it is expected back.
struct owner_loss {
  std::string why;
  bool is_own_end = false; ///< This node ends, and nothing is wrong with the owner: no news for the log.
};

/// Stands on this node for a provider that another one runs, with the same calls. It outlives that node's death and
/// return, keeps every call until it is answered, and ends those of a lost owner by `retry.retry_uncertain`.
///
/// The functions tell it of its owner; they may be called from any thread, in order.
struct provider_proxy {
  provider_actor actor;
  std::function<void(const found_owner&)> connect;
  std::function<void(owner_loss loss)> disconnect; ///< It cannot be reached; it is expected back.
  std::function<void(failure why)> refuse; ///< It does not run the provider: calls end so, at once, until it does.
};

/// Spawns one. It lives as `spawn_provider` says. `look` is called inside the proxy when the owner is to be asked for
/// its actor: it has ended, takes nothing new or was refused. The requests that it keeps, until they are answered, take
/// up to `max_kept_bytes`; what comes beyond that is refused (`errc::queue_full`).
provider_proxy spawn_provider_proxy(caf::actor_system& system, const provider_settings& provider,
                                    const node_settings& node, std::function<void()> look,
                                    uint64_t max_kept_bytes = runtime_settings{}.max_queued_bytes, log_handle log = {});

} // namespace modelforge
