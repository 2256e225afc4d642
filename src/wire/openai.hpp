#pragma once

#include "wire/dialect.hpp"

namespace modelforge::wire {

/// Chat Completions as OpenAI itself speaks it.
const dialect& openai();

/// The common part of what other servers of that format take: no default address, `max_tokens`, `top_k`.
const dialect& openai_compatible();

/// The Responses API as OpenAI itself speaks it.
const dialect& openai_responses();

/// Reads the answer to a Chat Completions request, whatever its status.
std::variant<completion, failure> read_openai_answer(const http::response_head& head, std::string_view body);

} // namespace modelforge::wire
