#pragma once

#include "tools/simulator/language.hpp"

/// Google's Gemini API (`v1beta`, and `v1` likewise), as its reference and its SDKs have it.
namespace modelforge::simulator::gemini {

/// How Google reports errors, refusals and faults.
const language& speech();

/// Returns the error of status 500 as JSON.
std::string server_error();

/// `POST /v1beta/models/{model}:{method}`: generateContent, streamGenerateContent, countTokens, embedContent and
/// batchEmbedContents.
reply call_method(const exchange& incoming);

/// The answer to a call of one of the two methods for embeddings.
reply embed_contents(const exchange& incoming, std::string_view model, bool is_batch);

/// `GET /v1beta/models`.
reply list_models(const exchange& incoming);

/// `GET /v1beta/models/{model}`; every name is a model but those that begin with "missing".
reply show_model(const exchange& incoming);

/// The error for a model that does not exist.
api_error missing_model(std::string_view model, std::string_view method);

} // namespace modelforge::simulator::gemini
