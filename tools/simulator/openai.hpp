#pragma once

#include "tools/simulator/exchange.hpp"

#include <string>
#include <string_view>

/// OpenAI's Chat Completions, as its reference and its SDKs have them.
namespace modelforge::simulator::openai {

/// An error as OpenAI writes it; empty `param` and `code` become null.
struct api_error {
  int status = 400;
  std::string message;
  std::string param = {};
  std::string code = {};
  std::string type = "invalid_request_error";
};

/// Returns an empty 200 with the headers of every answer.
reply new_reply(const exchange& x);

/// Returns `error` as the answer to `x`.
reply error_reply(const exchange& x, const api_error& error);

/// Returns `error` as JSON.
std::string error_text(const api_error& error);

/// `POST /v1/chat/completions`, in one piece or as server-sent events.
reply chat_completions(const exchange& x);

/// `GET /v1/models`.
reply list_models(const exchange& x);

/// `GET /v1/models/{id}`; every name is a model but those that begin with "missing".
reply show_model(const exchange& x);

reply unknown_path(const exchange& x);

reply wrong_method(const exchange& x, std::string_view allowed);

} // namespace modelforge::simulator::openai
