#pragma once

#include "actors/node.hpp"
#include "actors/provider_control.hpp"
#include "actors/registry_view.hpp"
#include "provider/kept_limits.hpp"
#include "retry/restart_pace.hpp"

#include <modelforge/config/settings.hpp>
#include <modelforge/messages/error.hpp>

#include <caf/actor_clock.hpp>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace modelforge {

/// How the end of an actor is known that nobody asked to end. Written on the actor's own thread.
struct provider_death {
  std::string reason; ///< Written before `has_ended`.
  std::atomic<bool> has_ended{false};
};

/// A provider in the registry: its actor, or a proxy where another node runs it, and what is needed to start the actor
/// again should it end by itself.
struct named_provider {
  provider_settings settings;
  controlled_provider running; ///< Without a control: a proxy.
  std::shared_ptr<provider_death> death{};
  std::shared_ptr<provider::limits_legacy> legacy{}; ///< What a predecessor has used of the limits.
  retry::restart_pace pace{};
  std::optional<caf::actor_clock::time_point> start_at{}; ///< It has ended, and is started again then.
  std::string problem{};                                  ///< Why it has ended, or could not be started.

  const std::string& name() const { return settings.name; }
  bool is_proxy() const { return !running.control; }

  /// Takes over other settings, which it can become.
  void reconfigure(provider::setup fresh) const {
    running.control.run([fresh = std::move(fresh)](provider_control& provider) { provider.reconfigure(fresh); });
  }

  /// For the node, whose guests use it.
  owned_provider owned() const;

  /// What its status says after it was started again.
  std::string restart_note() const;

  /// For the program's status. `is_ours`: no other node runs it.
  registry_report::provider report(bool is_ours) const;

  /// What callers are told while it is waiting to be started again.
  failure unavailable(caf::actor_clock::time_point now) const;
};

/// What is to be done for a provider of new settings, prepared so that it cannot fail any more.
struct provider_change {
  named_provider* old = nullptr;       ///< The one of that name; null: there is none.
  std::optional<provider_start> fresh; ///< Empty: nothing is to be started, or a proxy.
  bool in_place = false;               ///< The old one takes over what is new.
  bool untouched = false;
  uint64_t leaving = 0; ///< One that is about to end is taken back instead; 0: none.
};

/// That none of these has the name.
failure unknown_provider(const std::string& name, const std::vector<named_provider>& all);

/// The latest one of that name that is about to end and can be taken back; 0: there is none.
uint64_t find_leaving(const std::map<uint64_t, named_provider>& leaving, const provider_settings& wanted);

/// Joins failures into one, a line each. There is at least one.
failure joined(std::vector<failure> problems);

} // namespace modelforge
