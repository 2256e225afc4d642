#pragma once

#include "wire/dialect.hpp"
#include "wire/object_answer.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

namespace modelforge::wire::gemini {

/// Google's generateContent and streamGenerateContent.
const dialect& content_api();

/// The dialect that the settings want; null for the Responses API, which is OpenAI's alone.
const dialect* choose(const dialect_choice& choice);

std::variant<encoded_request, failure> write_request(const chat_request& request, bool stream);

std::unique_ptr<object_answer> make_answer(const http::response_head& head);

/// The path of a model, escaped: "gemini-x", "models/gemini-x" and "tunedModels/x" are all names of models.
std::string model_path(std::string_view model);

std::variant<encoded_request, failure> write_embedding(const embedding_request& request);

std::variant<embedding, failure> read_embedding(const http::response_head& head, std::string_view body,
                                                std::size_t inputs);

} // namespace modelforge::wire::gemini
