#pragma once

#include "http/message.hpp"
#include "wire/answer_parts.hpp"
#include "wire/stream.hpp"

#include <memory>
#include <string_view>

/// What whole and streamed answers of Chat Completions have in common.

namespace modelforge::wire {

/// What a finish reason of Chat Completions means, in the words of all who speak it.
finish_reason openai_reason(std::string_view word);

/// Makes the reader of a streamed answer. `is_strict`: a whole answer has both a finish reason and `[DONE]`, as OpenAI
/// sends them; otherwise either will do, with a warning, if the body ended well.
std::unique_ptr<stream_reader> read_openai_stream(const http::response_head& head, bool is_strict);

} // namespace modelforge::wire
