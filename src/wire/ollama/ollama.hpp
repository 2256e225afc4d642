#pragma once

#include "wire/dialect.hpp"
#include "wire/object_answer.hpp"

#include <memory>
#include <variant>

namespace modelforge::wire {

/// Ollama's own chat API (its /v1 is an `openai_compatible`).
const dialect& ollama();

std::variant<encoded_request, failure> write_ollama_request(const chat_request& x, bool stream);

std::unique_ptr<object_answer> ollama_answer(const http::response_head& head);

} // namespace modelforge::wire
