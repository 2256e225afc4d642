#pragma once

#include "tools/simulator/openai.hpp"

/// What OpenAI answers instead of a completion: limits and faults.
namespace modelforge::simulator::openai {

/// The answer to a request for `model` that a limit refused.
reply limit_reply(const exchange& x, std::string_view model, const ruling& why);

/// The error of status 500.
api_error server_error();

/// The answer that `injected`, a fault with an answer of its own, gives to a request for `model`.
reply fault_reply(const exchange& x, std::string_view model, bool is_stream, fault injected);

/// Adds the `x-ratelimit-*` headers of the limits that are set, unless they are switched off or no API would send them.
void append_limit_headers(const exchange& x, reply& answer);

} // namespace modelforge::simulator::openai
