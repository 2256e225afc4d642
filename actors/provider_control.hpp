#pragma once

#include "actors/provider_parts.hpp"

#include <modelforge/actors/provider.hpp>

#include <caf/fwd.hpp>

#include <functional>
#include <memory>
#include <string>

namespace modelforge {

/// A provider's actor, and what only its own program may tell it. The functions may be called from any thread.
struct controlled_provider {
  provider_actor actor;
  /// Takes over other settings, which it can become (`can_become`): requests under way go on as they began.
  std::function<void(provider_parts)> reconfigure;
  /// Opens the file that keeps the limits' use; for one that was spawned while another actor had it.
  std::function<void()> keep_journal;
  /// What this actor asks for it asks for another node, as which it shares, until it ends.
  std::function<void(const caf::strong_actor_ptr& who, std::string node)> admit;
};

/// Spawns a provider of parts that are ready but for `transport`.
controlled_provider spawn_controlled_provider(caf::actor_system& system, provider_parts parts,
                                              std::shared_ptr<http::client> transport);

} // namespace modelforge
