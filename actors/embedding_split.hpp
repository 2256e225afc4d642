#pragma once

#include <modelforge/messages/interfaces.hpp>

#include <caf/fwd.hpp>

#include <cstddef>

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

} // namespace modelforge
