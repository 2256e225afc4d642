#pragma once

#include "wire/dialect.hpp"
#include "wire/object_answer.hpp"

#include <memory>
#include <variant>

namespace modelforge::wire {

/// Google's generateContent and streamGenerateContent.
const dialect& gemini();

std::variant<encoded_request, failure> write_gemini_request(const chat_request& x, bool stream);

std::unique_ptr<object_answer> gemini_answer(const http::response_head& head);

} // namespace modelforge::wire
