#pragma once

#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/completion.hpp>
#include <modelforge/messages/embedding.hpp>
#include <modelforge/messages/error.hpp>

#include <string>
#include <string_view>
#include <variant>

/// OpenAI's chat format as the lingua franca of files and front ends: read requests, write answers. (The dialect in
/// openai.cpp goes the other way: it writes requests and reads answers.)

namespace modelforge::wire::openai {

/// Reads the body of a POST /v1/chat/completions into the neutral form. Fields of the request that the neutral form
/// has no place for go into `extra`; such fields inside of messages and tools are refused, unless they are null. A
/// refusal in a message becomes text. `stream` must be false or missing. A failure (`invalid_request`) names the field
/// and what is wrong with it: "messages[1].content[0].image_url.url is no string".
std::variant<chat_request, failure> read_request(std::string_view text);

/// Reads the body of a POST /v1/responses likewise. What a provider keeps (`previous_response_id`, `conversation`) and
/// its own tools are refused; `store` and `background` say nothing here, where nothing is kept.
std::variant<chat_request, failure> read_response_request(std::string_view text);

/// Reads the body of a POST /v1/embeddings likewise. Inputs are texts, not tokens; `encoding_format` must be "float" or
/// missing.
std::variant<embedding_request, failure> read_embedding_request(std::string_view text);

/// Writes a completion as a `response` object of the Responses API, on one line.
std::string write_response(const completion& answer);

/// Writes vectors as the `list` object that /v1/embeddings answers, on one line.
std::string write_vectors(const embedding& answer);

/// Writes a completion as a `chat.completion` object, on one line. `created` is the present time.
std::string write_completion(const completion& answer);

/// Writes a failure as `{"code": ..., "message": ...}`, the shape of errors in OpenAI's batch result lines. `code` is
/// the provider's own code where there is one, else our errc's name. What had come of an answer is in `text`.
std::string write_error(const failure& problem);

/// Writes a failure as the body of an HTTP answer: `{"error": {"message", "type", "param", "code"}}`. `type` is our
/// errc's name.
std::string write_error_body(const failure& problem);

} // namespace modelforge::wire::openai
