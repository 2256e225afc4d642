#pragma once

#include <modelforge/messages/chat_request.hpp>

#include <string_view>

namespace modelforge::optimize {

/// Whether `extra` has a field of that name, or is not a JSON object (which the dialect reports then).
bool has_extra(const chat_request& request, std::string_view name);

/// Adds a field that `extra` has not got. `value`: JSON text.
void add_extra(chat_request& request, std::string_view name, std::string_view value);

} // namespace modelforge::optimize
