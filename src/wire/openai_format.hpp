#pragma once

#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/completion.hpp>
#include <modelforge/messages/error.hpp>

#include <string>
#include <string_view>
#include <variant>

/// OpenAI's chat format as the lingua franca of files and front ends: read requests, write answers. (The dialect in
/// openai.cpp goes the other way: it writes requests and reads answers.)

namespace modelforge::wire {

/// Reads the body of a POST /v1/chat/completions into the neutral form. Fields that the neutral form has no place for
/// go into `extra`. A failure (`invalid_request`) names the field and what is wrong with it.
std::variant<chat_request, failure> read_openai_request(std::string_view json);

/// Writes a completion as a `chat.completion` object, on one line.
std::string write_openai_completion(const completion& x);

/// Writes a failure as `{"code": ..., "message": ...}`, the shape of errors in OpenAI's batch result lines. `code` is
/// the provider's own code where there is one, else our errc's name.
std::string write_openai_error(const failure& x);

} // namespace modelforge::wire
