#pragma once

#include "http/client.hpp"
#include "provider/setup.hpp"

#include <modelforge/messages/embedding.hpp>
#include <modelforge/messages/error.hpp>

#include <variant>

/// Asking a provider which models it offers: one attempt beside the dispatcher, because it asks for no answer of a
/// model, and providers do not count it.

namespace modelforge::provider {

http::request model_query(const setup& setup);

/// What came back, with secrets masked.
std::variant<model_list, failure> read_models(const setup& setup, const http::response& answer);

} // namespace modelforge::provider
