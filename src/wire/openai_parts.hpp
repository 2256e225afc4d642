#pragma once

#include "http/message.hpp"
#include "wire/answer_parts.hpp"
#include "wire/dialect.hpp"
#include "wire/openai_quirks.hpp"
#include "wire/stream.hpp"

#include <cstddef>
#include <memory>
#include <string_view>
#include <variant>

/// What the parts of the dialect share.

namespace modelforge::wire {

/// What a finish reason of Chat Completions means, in the words of all who speak it.
finish_reason openai_reason(std::string_view word);

/// Makes the reader of a streamed answer. `is_strict`: a whole answer has both a finish reason and `[DONE]`, as OpenAI
/// sends them; otherwise either will do, with a warning, if the body ended well.
std::unique_ptr<stream_reader> read_openai_stream(const http::response_head& head, bool is_strict);

std::variant<encoded_request, failure> write_openai_request(const quirks& is, const chat_request& x, bool stream);

std::variant<encoded_request, failure> write_openai_embedding(const quirks& is, const embedding_request& x);

std::variant<embedding, failure> read_openai_embedding(const http::response_head& head, std::string_view body,
                                                       std::size_t inputs);

} // namespace modelforge::wire
