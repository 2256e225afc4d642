#pragma once

#include "wire/batch_api.hpp"
#include "wire/dialect.hpp"
#include "wire/object_answer.hpp"

#include <memory>
#include <string_view>
#include <variant>

namespace modelforge::wire::anthropic {

/// Anthropic's Messages.
const dialect& messages_api();

/// The dialect that the settings want; null for the Responses API, which is OpenAI's alone.
const dialect* choose(const dialect_choice& choice);

std::variant<encoded_request, failure> write_request(const chat_request& request, bool stream);

std::unique_ptr<object_answer> make_answer(const http::response_head& head);

/// Message Batches; `speaker` is Anthropic's dialect.
std::unique_ptr<batch_api> make_batches(const dialect& speaker);

/// In a signature, before the data of thinking that the provider shows to nobody.
inline constexpr std::string_view redacted = "redacted:";

} // namespace modelforge::wire::anthropic
