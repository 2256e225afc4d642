#pragma once

#include "wire/batch_api.hpp"
#include "wire/dialect.hpp"
#include "wire/object_answer.hpp"

#include <memory>
#include <string_view>
#include <variant>

namespace modelforge::wire {

/// Anthropic's Messages.
const dialect& anthropic();

std::variant<encoded_request, failure> write_anthropic_request(const chat_request& x, bool stream);

std::unique_ptr<object_answer> anthropic_answer(const http::response_head& head);

/// Message Batches; `by` is Anthropic's dialect.
std::unique_ptr<batch_api> anthropic_batches(const dialect& by);

/// In a signature, before the data of thinking that the provider shows to nobody.
inline constexpr std::string_view anthropic_redacted = "redacted:";

} // namespace modelforge::wire
