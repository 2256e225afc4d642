#pragma once

#include "provider/requests.hpp"

#include <modelforge/messages/completion.hpp>
#include <modelforge/messages/embedding.hpp>
#include <modelforge/messages/error.hpp>

#include <optional>

/// Whether a good answer is also what was asked for. Servers ignore what they do not know, and then a wrong answer
/// looks like a right one. Asking again would be paid again and give the same, so nothing here is retried.

namespace modelforge::provider {

/// Looks at an answer that is signed: warns of what `extra` asked for and did not come, and judges its JSON. Returns
/// the failure that stands in its place, if one does.
std::optional<failure> misdelivery(const request& asked, completion& answer);

/// The same for vectors: they must have as many numbers as were asked for.
std::optional<failure> misdelivery(const request& asked, const embedding& answer);

} // namespace modelforge::provider
