#pragma once

#include "actors/support/mail.hpp"

#include <modelforge/messages/interfaces.hpp>
#include <modelforge/messages/request_id.hpp>

#include <caf/actor_cast.hpp>
#include <caf/actor_control_block.hpp>
#include <caf/fwd.hpp>

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
/// forgotten with the next one.
class embedding_splits {
public:
  void add(request_id id, const embedding_split_actor& split) {
    std::erase_if(all_, [](auto& entry) { return caf::actor_cast<caf::strong_actor_ptr>(entry.second) == nullptr; });
    all_[id] = caf::actor_cast<caf::weak_actor_ptr>(split);
  }

  /// Whether one is alive for that request.
  bool contains(request_id id) const {
    auto i = all_.find(id);
    return i != all_.end() && caf::actor_cast<caf::strong_actor_ptr>(i->second) != nullptr;
  }

  /// The request of which this one asks for parts; the empty id: it is none of them.
  request_id asked_by(const caf::strong_actor_ptr& who) const {
    for (auto& [id, split] : all_)
      if (who != nullptr && split.get() == who.get())
        return id;
    return {};
  }

  template <class Self>
  void cancel(Self* self, request_id id) {
    auto node = all_.extract(id);
    if (node.empty())
      return;
    if (auto split = caf::actor_cast<embedding_split_actor>(node.mapped()))
      tell(self, split, cancel_atom_v);
  }

private:
  std::unordered_map<request_id, caf::weak_actor_ptr> all_;
};

} // namespace modelforge
