#pragma once

#include "limits/rate_limiter.hpp"

#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/request_id.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace modelforge {

/// A request, as a dispatcher sees it.
struct dispatch_offer {
  request_id id;
  priority rank = priority::interactive;
  std::string tenant{};
  std::string node{};    ///< That asks for it: nodes share before tenants do; empty: this one.
  uint32_t group = 0;    ///< Index into `dispatcher_settings::groups`.
  limits::charge cost{}; ///< Guesses: they delay, and refuse nothing.
  uint64_t bytes = 0;    ///< What it takes while it waits.
  std::optional<limits::time_point> deadline{};
  uint32_t spent = 0;          ///< Attempts that others have made for it: they count.
  std::string model{};         ///< What answers tell of its limits holds for others of the same name.
  limits::amounts least{};     ///< What it will certainly take, by what the caller fixed.
  bool fail_when_open = false; ///< Fails while the breaker is open, whatever the settings say of its priority.
};

/// Of what is kept by priority.
constexpr std::size_t index(priority rank) {
  return static_cast<std::size_t>(rank);
}

} // namespace modelforge
