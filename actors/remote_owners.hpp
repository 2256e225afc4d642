#pragma once

#include "node/pending_calls.hpp"

#include <modelforge/messages/interfaces.hpp>
#include <modelforge/messages/request_id.hpp>

#include <caf/actor_addr.hpp>

#include <algorithm>
#include <cstdint>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

namespace modelforge {

/// The owner's actors for this node that are not lost: the latest, and those before it that have calls still. One
/// actor may be here twice, when it was found twice.
class remote_owners {
public:
  using owner_id = node::pending_calls::owner_id;

  struct owner {
    provider_actor actor;
    caf::actor_addr address;
  };

  void add(owner_id id, provider_actor actor, caf::actor_addr address) {
    owners_[id] = {std::move(actor), std::move(address)};
  }

  /// Null: it is lost.
  const owner* find(owner_id id) const {
    auto i = owners_.find(id);
    return i != owners_.end() ? &i->second : nullptr;
  }

  /// Its actor; null: it is lost.
  provider_actor actor(owner_id id) const {
    auto* known = find(id);
    return known != nullptr ? known->actor : provider_actor{};
  }

  std::vector<owner_id> at(const caf::actor_addr& address) const {
    std::vector<owner_id> result;
    for (auto& [id, owner] : owners_)
      if (owner.address == address)
        result.push_back(id);
    return result;
  }

  /// Those of which `is_idle(id)` holds.
  template <class Condition>
  std::vector<owner_id> find_all(Condition is_idle) const {
    std::vector<owner_id> result;
    for (auto& [id, owner] : owners_)
      if (is_idle(id))
        result.push_back(id);
    return result;
  }

  /// Takes all out.
  std::map<owner_id, owner> extract_all() { return std::exchange(owners_, {}); }

  void erase(owner_id id) { owners_.erase(id); }

  bool empty() const { return owners_.empty(); }

private:
  std::map<owner_id, owner> owners_;
};

/// The streams whose relays have not ended, also of calls whose session is not there yet. Each attempt at a stream has
/// a relay, with a number, of its own.
class relayed_streams {
public:
  using owner_id = remote_owners::owner_id;

  /// A relay for one more attempt; returns its number.
  uint64_t next_relay() { return ++last_relay_; }

  void set(request_id id, uint64_t relay, owner_id owner) { streams_.insert_or_assign(id, entry{relay, owner}); }

  bool contains(request_id id) const { return streams_.count(id) > 0; }

  /// Who has the stream; 0: there is none.
  owner_id owner_of(request_id id) const {
    auto i = streams_.find(id);
    return i != streams_.end() ? i->second.owner : 0;
  }

  bool uses(owner_id owner) const {
    return std::any_of(streams_.begin(), streams_.end(), [&](auto& x) { return x.second.owner == owner; });
  }

  void erase(request_id id) { streams_.erase(id); }

  /// That relay has ended. An earlier attempt's is none of the stream.
  void on_relay_end(request_id id, uint64_t relay) {
    if (auto i = streams_.find(id); i != streams_.end() && i->second.relay == relay)
      streams_.erase(i);
  }

  template <class F>
  void for_each(F f) const {
    for (auto& [id, stream] : streams_)
      f(id, stream.owner);
  }

  bool empty() const { return streams_.empty(); }

private:
  struct entry {
    uint64_t relay = 0;
    owner_id owner = 0;
  };

  std::unordered_map<request_id, entry> streams_;
  uint64_t last_relay_ = 0;
};

} // namespace modelforge
