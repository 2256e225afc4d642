#pragma once

#include "tools/simulator/language.hpp"

/// OpenAI's API, as its reference and its SDKs have it.
namespace modelforge::simulator::openai {

/// How OpenAI reports errors, refusals and faults.
const language& speech();

/// The error of status 500.
api_error server_error();

/// Returns `error` as JSON.
std::string error_text(const api_error& error);

/// `POST /v1/chat/completions`, in one piece or as server-sent events.
reply chat_completions(const exchange& incoming);

/// `POST /v1/responses`, in one piece or as server-sent events.
reply responses(const exchange& incoming);

/// `POST /v1/responses/input_tokens`.
reply count_input(const exchange& incoming);

/// `POST /v1/embeddings`.
reply embeddings(const exchange& incoming);

/// `GET /v1/models`.
reply list_models(const exchange& incoming);

/// `GET /v1/models/{id}`; every name is a model but those that begin with "missing".
reply show_model(const exchange& incoming);

} // namespace modelforge::simulator::openai
