#pragma once

#include "optimize/optimizers.hpp"
#include "wire/dialect.hpp"

#include <modelforge/messages/error.hpp>

#include <cstddef>
#include <functional>
#include <string>
#include <variant>
#include <vector>

namespace modelforge::provider {

/// A request in a provider's words, and what the optimizers did to it before.
struct optimized_request {
  std::variant<wire::encoded_request, failure> encoded; ///< What they warn of is among the warnings.
  std::vector<std::string> changes;                     ///< For `completion.optimizations`.
  std::vector<std::string> failed;                      ///< One text for each optimizer that was no use.
};

/// Lets the optimizers change `request`, then has it encoded; where what they made of it cannot be sent, as it came.
optimized_request optimize_and_encode(const optimize::pipeline& optimizers, chat_request& request,
                                      const std::function<std::variant<wire::encoded_request, failure>()>& encode);

} // namespace modelforge::provider
