#pragma once

#include "dispatch/dispatcher.hpp"
#include "http/client.hpp"

#include <modelforge/messages/error.hpp>

#include <cstdint>

/// What a provider says to people.

namespace modelforge::provider {

/// The failure for a transfer that brought no whole answer.
failure describe(const http::transfer_error& error);

/// The failure for a request that is not sent, or not sent again. `last`: how its latest attempt failed, if there was
/// one; `waited`: since its acceptance; `in_flight`: whether an attempt was under way.
failure describe(const dispatcher::refusal& refused, uint32_t max_queued, limits::duration waited, bool in_flight,
                 const failure* last);

/// Adds to the failure of the last attempt why there is no other one.
void explain_end(failure& why, const dispatcher::settlement& end);

} // namespace modelforge::provider
