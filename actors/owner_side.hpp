#pragma once

#include "actors/provider_proxy.hpp"
#include "actors/remote_calls.hpp"
#include "actors/remote_owners.hpp"
#include "actors/support/callers.hpp"
#include "log/logger.hpp"
#include "node/owner_absence.hpp"
#include "node/peer_traffic.hpp"
#include "node/pending_calls.hpp"

#include <modelforge/config/settings.hpp>
#include <modelforge/messages/interfaces.hpp>
#include <modelforge/messages/status.hpp>

#include <caf/actor_addr.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

namespace modelforge {

/// What a proxy knows of the node that owns its provider: the owner's actors for this node, what is on its way to them,
/// why none can be reached, and what `pending_calls` decides on the calls. Owners are found and lost here; after each
/// change the proxy takes the next steps of `pending`.
class owner_side {
public:
  using time_point = node::pending_calls::time_point;
  using owner_id = node::pending_calls::owner_id;
  using call_id = node::pending_calls::call_id;
  using watch = callers<std::remove_pointer_t<provider_actor::pointer>>;

  owner_side(const provider_settings& provider, const node_settings& node, log_handle log, time_point now);

  node::pending_calls pending;
  node::peer_traffic<caf::actor_addr> traffic;

  const std::string& name() const { return absence_.owner(); }

  /// Null: it is lost.
  const remote_owners::owner* find(owner_id id) const { return owners_.find(id); }
  provider_actor actor(owner_id id) const { return owners_.actor(id); }
  std::vector<owner_id> at(const caf::actor_addr& address) const { return owners_.at(address); }

  /// Whether the owner that has the call is that actor.
  bool has(call_id number, const caf::actor_addr& who) const;

  /// Differs after each loss of the node and each refusal.
  uint64_t turn() const { return absence_.turn(); }

  /// An owner is found; those before it that have neither calls nor streams are forgotten. `wake` is called, on any
  /// thread, when there is room on the link again.
  void add(const found_owner& owner, const relayed_streams& streams, std::function<void()> wake, watch& callers,
           time_point now);

  /// An owner's actor is lost. False: it was before.
  bool lose(owner_id id, std::string why, watch& callers, time_point now);

  /// The node is lost, with all its actors.
  void lose_all(owner_loss loss, watch& callers, time_point now);

  /// The node does not run the provider.
  void refuse(failure why, time_point now);

  /// Whether the owner has ended a call for reasons of its own, so that another one, or the same later, may take it.
  bool takes_back(remote_call& call, call_id number, const caf::error& error, time_point now);

  /// What the caller of a call that has ended without an answer is told.
  failure explain(remote_call& call, const node::pending_calls::end& end) const;

  /// A call goes out to the owner of now; there is room for it.
  void send(remote_call& call, const node::pending_calls::send& step, time_point now);

  /// What the provider's status is while no owner can be asked.
  provider_status status(const provider_settings& provider, time_point now) const;

private:
  void forget(owner_id id, watch& callers);
  void tell_reachable(bool is_reachable, const std::string& why = {});

  remote_owners owners_;
  node::owner_absence absence_;
  std::string provider_;
  log_handle log_;
  std::optional<bool> is_reachable_; ///< As the log has it; empty: it has nothing yet.
};

} // namespace modelforge
