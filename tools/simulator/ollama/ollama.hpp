#pragma once

#include "tools/simulator/language.hpp"

/// Ollama's own API, as its server has it.
namespace modelforge::simulator::ollama {

/// How Ollama reports errors, refusals and faults.
const language& speech();

/// Returns an error as JSON.
std::string error_text(std::string_view message);

/// Returns the error for a model that was not pulled.
api_error missing_model(std::string_view model);

/// `POST /api/chat`: lines of JSON unless the request wants one object.
reply chat(const exchange& incoming);

/// `POST /api/embed`.
reply embed(const exchange& incoming);

/// `POST /api/embeddings`, the older form: one vector for one `prompt`.
reply embed_one(const exchange& incoming);

/// `GET /api/tags`.
reply list_models(const exchange& incoming);

/// `GET /api/ps`.
reply list_running(const exchange& incoming);

/// `POST /api/show`; every name is a model but those that begin with "missing".
reply show_model(const exchange& incoming);

/// `GET /api/version`.
reply show_version(const exchange& incoming);

} // namespace modelforge::simulator::ollama
