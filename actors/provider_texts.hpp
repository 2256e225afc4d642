#pragma once

#include "dispatch/dispatcher.hpp"
#include "http/client.hpp"

#include <modelforge/messages/error.hpp>

#include <string>

/// What a provider actor tells people.
namespace modelforge {

/// The failure for a transfer that brought no whole answer.
failure describe(const http::transfer_error& x);

/// The failure for a request that is not sent, or not sent again. `last`: how its latest attempt failed, if there was
/// one; `waited`: since its acceptance; `in_flight`: whether an attempt was under way.
failure describe(const dispatcher::refusal& x, const dispatcher_settings& settings, limits::duration waited,
                 bool in_flight, const failure* last);

/// Adds to the failure of the last attempt why there is no other one.
void explain_end(failure& x, const dispatcher::settlement& end);

} // namespace modelforge
