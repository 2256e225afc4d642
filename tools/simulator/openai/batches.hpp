#pragma once

#include "tools/simulator/exchange.hpp"
#include "tools/simulator/hub.hpp"

/// OpenAI's batch jobs, and the files they read and write.
namespace modelforge::simulator::openai {

/// `POST /v1/files`.
reply upload_file(const exchange& incoming, hub& shared);

/// `GET /v1/files`: all of them, or those of a `purpose`; newest first, unless `order` is asc.
reply list_files(const exchange& incoming, hub& shared);

/// `GET /v1/files/{id}` and `GET /v1/files/{id}/content`.
reply show_file(const exchange& incoming, hub& shared);

/// `DELETE /v1/files/{id}`.
reply delete_file(const exchange& incoming, hub& shared);

/// `POST /v1/batches`.
reply create_batch(const exchange& incoming, hub& shared);

/// `GET /v1/batches`.
reply list_batches(const exchange& incoming, hub& shared);

/// `GET /v1/batches/{id}`.
reply show_batch(const exchange& incoming, hub& shared);

/// `POST /v1/batches/{id}/cancel`.
reply cancel_batch(const exchange& incoming, hub& shared);

} // namespace modelforge::simulator::openai
