#pragma once

#include <modelforge/messages/type_ids.hpp>

#include <caf/result.hpp>
#include <caf/timespan.hpp>
#include <caf/typed_actor.hpp>

#include <string>

/// Every typed actor interface of ModelForge, a sentence a handler, from the caller's view.

namespace modelforge {

/// A STREAM SUBSCRIBER: any actor that takes a stream, here or on another node. Gets the chunks in order, then exactly
/// one of the other two; gets no more chunks than it has granted.
using stream_subscriber_actor = caf::typed_actor<
  // Takes the next pieces.
  caf::result<void>(stream_chunk),
  // The stream ended well, and it has had all of it.
  caf::result<void>(stream_done),
  // The stream failed, or this subscriber was ended.
  caf::result<void>(stream_failed)>;

/// The STREAM SESSION: one per stream, spawned by its provider, gone when the last subscriber has its end.
using stream_session_actor = caf::typed_actor<
  // The sender, a subscriber, takes so many more chunks.
  caf::result<void>(grant_atom, uint32_t),
  // Lets one more subscriber in, from the piece it names on; an error when that is not kept any more.
  caf::result<void>(subscribe_atom, stream_subscriber_actor, subscription),
  // Cuts the stream off: every subscriber gets `stream_failed` (`errc::cancelled`).
  caf::result<void>(cancel_atom),
  // Reports how it stands.
  caf::result<stream_status>(status_atom)>;

/// A BATCH JOB's LISTENER: any actor that has a provider run a job.
using batch_job_listener_actor = caf::typed_actor<
  // Takes how the job stands, whenever that changes.
  caf::result<void>(batch_job_status),
  // Takes results; answers when it has kept them, and gets no more before. An error stops the job's actor.
  caf::result<void>(batch_job_results),
  // The last message of the job.
  caf::result<void>(batch_job_end)>;

/// The BATCH JOB: one per job of a provider's batch API, spawned by its provider, gone when the job has ended or its
/// listener has. The provider's job itself goes on without it.
using batch_job_actor = caf::typed_actor<
  // Has the provider cancel the job; what it has done still comes, then the end.
  caf::result<void>(cancel_atom)>;

/// The PROVIDER: one per configured provider; owns its lanes, queue and retries.
using provider_actor = caf::typed_actor<
  // Answers once: with the completion, or with an error that holds a `failure` (see `failure_of`).
  caf::result<completion>(chat_request),
  // Answers with the stream's session as soon as the request is taken in; the subscriber hears all that follows. An
  // error (as for `chat_request`): it is not taken in, and the subscriber hears nothing.
  caf::result<stream_session_actor>(stream_request, stream_subscriber_actor),
  // Answers once, as for `chat_request`: with a vector for each input, in order.
  caf::result<embedding>(embedding_request),
  // Answers with the job's actor, or with an error: the provider has no batch API (`errc::unsupported`), or drains.
  caf::result<batch_job_actor>(batch_job_request, batch_job_listener_actor),
  // Reports which models the provider offers. Not counted against the limits; bounded by the provider's deadline.
  caf::result<model_list>(models_atom),
  // Withdraws a request wherever it stands; its asker gets `errc::cancelled`. An unknown id is no error.
  caf::result<void>(cancel_atom, request_id),
  // Reports what it is doing.
  caf::result<provider_status>(status_atom),
  // Refuses what is new from now on; answers when nothing is left, at the latest after the grace period, when it has
  // cancelled the rest.
  caf::result<void>(drain_atom, caf::timespan),
  // Hears what has been spent on a request that it has given on to another provider actor, which goes on trying
  // (`attempts_made::report`). An unknown id is no error.
  caf::result<void>(request_id, attempts_made),
  // Hears that so many more messages of its own have arrived at the sender: requests, if it asks that one, else
  // completions and embeddings. Sent now and then between nodes, so that neither sends more than their link can hold.
  // The answer says that what the asker sent before has been taken in.
  caf::result<void>(received_atom, uint64_t)>;

/// The REGISTRY: one per actor system; holds the providers by name. They end with it.
using registry_actor = caf::typed_actor<
  // Answers with the provider of that name, an empty one meaning the first; or with an error that lists the known ones.
  caf::result<provider_actor>(caf::get_atom, std::string),
  // Answers with the names.
  caf::result<provider_names>(names_atom),
  // Has all providers drain at once, and answers when the last one has. It can still be asked for them.
  caf::result<void>(drain_atom, caf::timespan),
  // Reports how this program stands among other nodes.
  caf::result<node_status>(status_atom),
  // Takes over settings, given as TOML; the second names their origin in errors. All or nothing: an error
  // (`errc::configuration`) reports every mistake, and nothing has changed.
  caf::result<reload_report>(reload_atom, std::string, std::string)>;

/// The NODE: one per actor system that is one among others, and all that others see of it before they have greeted.
using node_actor = caf::typed_actor<
  // Says who it is; an error when the two do not fit together. This call is there in every version.
  caf::result<node_hello>(node_hello),
  // Likewise; the second is the asker's own node, which this one may reach by it.
  caf::result<node_hello>(node_hello, caf::actor),
  // Answers with an actor for the sender's node, by which it calls the provider of that name; it ends with the sender.
  caf::result<provider_actor>(caf::get_atom, node_hello, std::string),
  // Reports how it stands.
  caf::result<node_status>(status_atom)>;

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
CAF_ADD_TYPE_ID(modelforge_handles, (modelforge::stream_subscriber_actor))
CAF_ADD_TYPE_ID(modelforge_handles, (modelforge::stream_session_actor))
CAF_ADD_TYPE_ID(modelforge_handles, (modelforge::batch_job_listener_actor))
CAF_ADD_TYPE_ID(modelforge_handles, (modelforge::batch_job_actor))
CAF_ADD_TYPE_ID(modelforge_handles, (modelforge::provider_actor))
CAF_ADD_TYPE_ID(modelforge_handles, (modelforge::registry_actor))

CAF_END_TYPE_ID_BLOCK(modelforge_handles)
