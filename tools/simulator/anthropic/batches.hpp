#pragma once

#include "tools/simulator/exchange.hpp"
#include "tools/simulator/hub.hpp"

/// Anthropic's batch jobs.
namespace modelforge::simulator::anthropic {

/// `POST /v1/messages/batches`.
reply create_batch(const exchange& incoming, hub& shared);

/// `GET /v1/messages/batches`.
reply list_batches(const exchange& incoming, hub& shared);

/// `GET /v1/messages/batches/{id}` and `GET /v1/messages/batches/{id}/results`.
reply show_batch(const exchange& incoming, hub& shared);

/// `POST /v1/messages/batches/{id}/cancel`.
reply cancel_batch(const exchange& incoming, hub& shared);

/// `DELETE /v1/messages/batches/{id}`.
reply delete_batch(const exchange& incoming, hub& shared);

} // namespace modelforge::simulator::anthropic
