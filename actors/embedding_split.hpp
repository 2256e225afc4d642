#pragma once

#include "actors/support/mail.hpp"

#include <modelforge/messages/interfaces.hpp>
#include <modelforge/messages/request_id.hpp>

#include <caf/actor_cast.hpp>
#include <caf/actor_control_block.hpp>
#include <caf/fwd.hpp>

#include <algorithm>
#include <cstddef>
#include <unordered_map>

namespace modelforge {

/// Asks a provider for more embeddings than one request may carry, part by part, and puts the vectors together.
using embedding_split_actor = caf::typed_actor<
  // Answers once, as the provider would.
  caf::result<embedding>(embedding_request),
  // Ends it: its asker gets `errc::cancelled`.
  caf::result<void>(cancel_atom)>;

/// Spawns one, for one request; it ends with the answer, or when the asker dies. `most`: the inputs of a part.
/// `at_once`: the parts under way at a time, so that a large request neither fills the queue nor is copied whole.
embedding_split_actor spawn_embedding_split(caf::actor_system& system, provider_actor provider, std::size_t most,
                                            std::size_t at_once);

/// The splits that an actor has spawned, by their requests, so that these can be cancelled. Those that have ended are
/// forgotten with some of the next ones: each costs the same time, however many there are.
class embedding_splits {
public:
  void add(request_id id, const embedding_split_actor& split) {
    if (all_.size() >= sweep_at_)
      sweep();
    forget(id);
    auto& kept = all_[id] = caf::actor_cast<caf::weak_actor_ptr>(split);
    ids_[kept.get()] = id;
  }

  /// Whether one is alive for that request.
  bool contains(request_id id) const {
    auto i = all_.find(id);
    return i != all_.end() && caf::actor_cast<caf::strong_actor_ptr>(i->second) != nullptr;
  }

  /// The request of which this one asks for parts; the empty id: it is none of them.
  request_id asked_by(const caf::strong_actor_ptr& who) const {
    auto i = ids_.find(who.get());
    return i != ids_.end() ? i->second : request_id{};
  }

  template <class Self>
  void cancel(Self* self, request_id id) {
    auto i = all_.find(id);
    if (i == all_.end())
      return;
    if (auto split = caf::actor_cast<embedding_split_actor>(i->second))
      tell(self, split, cancel_atom_v);
    forget(id);
  }

  /// With those that have ended and are not forgotten yet.
  std::size_t size() const { return all_.size(); }

private:
  static constexpr std::size_t min_sweep = 16;

  /// Forgets those that have ended, and comes again when there are twice as many as are left.
  void sweep() {
    std::erase_if(all_, [this](auto& entry) {
      auto has_ended = caf::actor_cast<caf::strong_actor_ptr>(entry.second) == nullptr;
      if (has_ended)
        ids_.erase(entry.second.get());
      return has_ended;
    });
    sweep_at_ = std::max(min_sweep, 2 * all_.size());
  }

  void forget(request_id id) {
    auto i = all_.find(id);
    if (i == all_.end())
      return;
    ids_.erase(i->second.get());
    all_.erase(i);
  }

  std::unordered_map<request_id, caf::weak_actor_ptr> all_;
  std::unordered_map<const caf::actor_control_block*, request_id> ids_; ///< Of those in `all_`, which keeps the blocks.
  std::size_t sweep_at_ = min_sweep;
};

} // namespace modelforge
