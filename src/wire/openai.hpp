#pragma once

#include "wire/dialect.hpp"

namespace modelforge::wire {

/// Chat Completions as OpenAI itself speaks it.
const dialect& openai();

/// The Responses API as OpenAI itself speaks it.
const dialect& openai_responses();

/// What other servers of the format take: that one's of a name in `known_quirks`, else what they have in common.
const dialect& openai_compatible(std::string_view flavor = {});

/// The Responses API as these speak it.
const dialect& compatible_responses(std::string_view flavor = {});

/// Reads the answer to a Chat Completions request, whatever its status.
std::variant<completion, failure> read_openai_answer(const http::response_head& head, std::string_view body);

} // namespace modelforge::wire
