#pragma once

#include "tools/simulator/language.hpp"

/// Anthropic's Messages API, as its reference and its SDKs have it.
namespace modelforge::simulator::anthropic {

/// How Anthropic reports errors, refusals and faults.
const language& speech();

/// Returns the error of status 500 as JSON; `request_number` makes its request id.
std::string server_error(uint64_t request_number);

/// `POST /v1/messages`, in one piece or as server-sent events.
reply messages(const exchange& incoming);

/// `POST /v1/messages/count_tokens`.
reply count_prompt(const exchange& incoming);

/// `GET /v1/models`, for requests with the header `anthropic-version`.
reply list_models(const exchange& incoming);

/// `GET /v1/models/{id}`; every name is a model but those that begin with "missing".
reply show_model(const exchange& incoming);

} // namespace modelforge::simulator::anthropic
