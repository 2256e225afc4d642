#pragma once

#include <modelforge/messages/type_ids.hpp>

#include <caf/result.hpp>
#include <caf/timespan.hpp>
#include <caf/typed_actor.hpp>

/// Every typed actor interface of ModelForge, a sentence a handler, from the caller's view.

namespace modelforge {

/// The PROVIDER: one per configured provider; owns its lanes, queue and retries.
using provider_actor = caf::typed_actor<
  // Answers once: with the completion, or with an error that holds a `failure` (see `failure_of`).
  caf::result<completion>(chat_request),
  // Withdraws a request wherever it stands; its asker gets `errc::cancelled`. An unknown id is no error.
  caf::result<void>(cancel_atom, request_id),
  // Tells what it is doing.
  caf::result<provider_status>(status_atom),
  // Refuses what is new from now on; answers when nothing is left, at the latest after the grace period, when it has
  // cancelled the rest.
  caf::result<void>(drain_atom, caf::timespan)>;

/// A BATCH OBSERVER: any actor that wants to see a batch's progress.
using batch_observer_actor = caf::typed_actor<
  // Takes the newest figures, at most every 100 ms, and the last ones.
  caf::result<void>(batch_progress)>;

/// The BATCH COORDINATOR: runs the items of one batch, reports once.
using batch_coordinator_actor = caf::typed_actor<
  // Starts the batch; answers when its last item has ended. Asked again: `errc::duplicate_request`.
  caf::result<batch_report>(run_atom),
  // Sends nothing new and cancels what is in flight; those items end as `errc::cancelled`.
  caf::result<void>(cancel_atom),
  // Sends progress to this observer from now on.
  caf::result<void>(observe_atom, batch_observer_actor)>;

} // namespace modelforge

// Handles that travel inside messages; the order is the wire format, as in type_ids.hpp.
CAF_BEGIN_TYPE_ID_BLOCK(modelforge_handles, ::modelforge::first_type_id + 500)

CAF_ADD_TYPE_ID(modelforge_handles, (modelforge::batch_observer_actor))

CAF_END_TYPE_ID_BLOCK(modelforge_handles)
