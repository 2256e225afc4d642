#pragma once

#include "dispatch/dispatcher.hpp"
#include "provider/setup.hpp"

#include <modelforge/messages/status.hpp>

#include <cstdint>
#include <string>

namespace modelforge::provider {

/// What a provider tells of itself, for people and metrics, beside what the dispatcher knows.
struct condition {
  std::string problem; ///< What does not work, though requests do.
  /// How an attempt last failed for reasons of the provider's; reported while a breaker is not closed.
  std::string trouble;
  uint64_t refused = 0;  ///< Requests that failed before the dispatcher saw them.
  bool draining = false; ///< It takes nothing new.
};

/// Finding out the predicted wait and the lanes is expensive: not for every request.
provider_status describe_status(const setup& setup, dispatcher& source, const condition& condition,
                                dispatcher::time_point now);

} // namespace modelforge::provider
