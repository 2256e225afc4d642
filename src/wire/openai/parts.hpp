#pragma once

#include "http/message.hpp"
#include "wire/answer_parts.hpp"
#include "wire/dialect.hpp"
#include "wire/object_answer.hpp"
#include "wire/openai/quirks.hpp"

#include <cstddef>
#include <memory>
#include <string_view>
#include <variant>

/// What the parts of the dialect share.

namespace modelforge::wire::openai {

/// Makes the reader of an answer. `is_strict`: a streamed one that is whole has both a finish reason and `[DONE]`, as
/// OpenAI sends them; otherwise either will do, with a warning, if the body ended well.
std::unique_ptr<object_answer> make_answer(const http::response_head& head, bool is_strict);

std::variant<encoded_request, failure> write_request(const quirks& server, const chat_request& request, bool stream);

std::variant<encoded_request, failure> write_embedding(const quirks& server, const embedding_request& request);

std::variant<embedding, failure> read_embedding(const http::response_head& head, std::string_view body,
                                                std::size_t inputs);

} // namespace modelforge::wire::openai
