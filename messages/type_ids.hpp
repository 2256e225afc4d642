#pragma once

#include <modelforge/messages/batch.hpp>
#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/completion.hpp>
#include <modelforge/messages/embedding.hpp>
#include <modelforge/messages/error.hpp>
#include <modelforge/messages/node_hello.hpp>
#include <modelforge/messages/status.hpp>
#include <modelforge/messages/stream.hpp>

#include <caf/error.hpp>
#include <caf/fwd.hpp>
#include <caf/type_id.hpp>

namespace modelforge {

/// Where our block of CAF type ids begins: far behind the ids of a host, which start at `first_custom_type_id`.
inline constexpr caf::type_id_t first_type_id = caf::first_custom_type_id + 2000;

} // namespace modelforge

// A message of a type that is not listed here cannot leave the process. `init_types` (actors/system.hpp) registers both
// blocks, this one and that of interfaces.hpp, and must be called before any actor system of the process is made.
//
// The order is the wire format: append, never reorder; a change raises `wire_version`.
CAF_BEGIN_TYPE_ID_BLOCK(modelforge, ::modelforge::first_type_id)

CAF_ADD_TYPE_ID(modelforge, (modelforge::node_hello))
CAF_ADD_TYPE_ID(modelforge, (modelforge::errc))
CAF_ADD_TYPE_ID(modelforge, (modelforge::failure))
CAF_ADD_TYPE_ID(modelforge, (modelforge::attempt_record))
CAF_ADD_TYPE_ID(modelforge, (modelforge::request_id))
CAF_ADD_TYPE_ID(modelforge, (modelforge::text_part))
CAF_ADD_TYPE_ID(modelforge, (modelforge::image_part))
CAF_ADD_TYPE_ID(modelforge, (modelforge::tool_call))
CAF_ADD_TYPE_ID(modelforge, (modelforge::tool_result))
CAF_ADD_TYPE_ID(modelforge, (modelforge::reasoning_part))
CAF_ADD_TYPE_ID(modelforge, (modelforge::chat_message))
CAF_ADD_TYPE_ID(modelforge, (modelforge::chat_request))
CAF_ADD_TYPE_ID(modelforge, (modelforge::completion))
CAF_ADD_TYPE_ID(modelforge, (modelforge::batch_progress))
CAF_ADD_TYPE_ID(modelforge, (modelforge::batch_report))
CAF_ADD_TYPE_ID(modelforge, (modelforge::provider_status))

// What is asked of an actor beside the data: `interfaces.hpp` says which takes which.
CAF_ADD_ATOM(modelforge, modelforge, cancel_atom)
CAF_ADD_ATOM(modelforge, modelforge, drain_atom)
CAF_ADD_ATOM(modelforge, modelforge, run_atom)
CAF_ADD_ATOM(modelforge, modelforge, status_atom)
CAF_ADD_ATOM(modelforge, modelforge, observe_atom)
CAF_ADD_TYPE_ID(modelforge, (modelforge::limit_use))
CAF_ADD_TYPE_ID(modelforge, (modelforge::lane_status))
CAF_ADD_TYPE_ID(modelforge, (modelforge::stream_piece))
CAF_ADD_TYPE_ID(modelforge, (modelforge::stream_chunk))
CAF_ADD_TYPE_ID(modelforge, (modelforge::stream_done))
CAF_ADD_TYPE_ID(modelforge, (modelforge::stream_failed))
CAF_ADD_TYPE_ID(modelforge, (modelforge::subscription))
CAF_ADD_TYPE_ID(modelforge, (modelforge::stream_request))
CAF_ADD_TYPE_ID(modelforge, (modelforge::stream_status))
CAF_ADD_ATOM(modelforge, modelforge, grant_atom)
CAF_ADD_ATOM(modelforge, modelforge, subscribe_atom)
CAF_ADD_TYPE_ID(modelforge, (modelforge::embedding_request))
CAF_ADD_TYPE_ID(modelforge, (modelforge::embedding))
CAF_ADD_TYPE_ID(modelforge, (modelforge::model_list))
CAF_ADD_ATOM(modelforge, modelforge, models_atom)
CAF_ADD_TYPE_ID(modelforge, (modelforge::batch_share))
CAF_ADD_TYPE_ID(modelforge, (modelforge::batch_job_item))
CAF_ADD_TYPE_ID(modelforge, (modelforge::batch_job_request))
CAF_ADD_TYPE_ID(modelforge, (modelforge::batch_job_status))
CAF_ADD_TYPE_ID(modelforge, (modelforge::batch_job_result))
CAF_ADD_TYPE_ID(modelforge, (modelforge::batch_job_results))
CAF_ADD_TYPE_ID(modelforge, (modelforge::batch_job_end))
CAF_ADD_TYPE_ID(modelforge, (modelforge::provider_names))
CAF_ADD_ATOM(modelforge, modelforge, names_atom)
CAF_ADD_TYPE_ID(modelforge, (modelforge::peer_status))
CAF_ADD_TYPE_ID(modelforge, (modelforge::node_status))
CAF_ADD_TYPE_ID(modelforge, (modelforge::reload_report))
CAF_ADD_ATOM(modelforge, modelforge, reload_atom)
CAF_ADD_TYPE_ID(modelforge, (modelforge::attempts_made))
CAF_ADD_ATOM(modelforge, modelforge, received_atom)

CAF_END_TYPE_ID_BLOCK(modelforge)

CAF_ERROR_CODE_ENUM(modelforge::errc)
