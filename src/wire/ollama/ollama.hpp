#pragma once

#include "wire/dialect.hpp"
#include "wire/object_answer.hpp"

#include <cstddef>
#include <memory>
#include <string_view>
#include <variant>

namespace modelforge::wire::ollama {

/// Ollama's own chat API (its /v1 is an `openai_compatible`).
const dialect& chat_api();

/// The dialect that the settings want; null for the Responses API, which is OpenAI's alone.
const dialect* choose(const dialect_choice& choice);

std::variant<encoded_request, failure> write_request(const chat_request& request, bool stream);

std::unique_ptr<object_answer> make_answer(const http::response_head& head);

std::variant<encoded_request, failure> write_embedding(const embedding_request& request);

std::variant<embedding, failure> read_embedding(const http::response_head& head, std::string_view body,
                                                std::size_t inputs);

/// Adds how to get a model that is not there.
failure with_pull_hint(failure problem);

} // namespace modelforge::wire::ollama
