#pragma once

#include <modelforge/config/fwd.hpp>
#include <modelforge/messages/interfaces.hpp>

#include <caf/fwd.hpp>

#include <memory>

/// What a host on CAF needs before it spawns our actors.

namespace modelforge::http {

class client;

} // namespace modelforge::http

namespace modelforge {

/// Registers CAF's and our own message types. Call it before the first `caf::actor_system_config` is made; calling it
/// again is safe.
void init_types();

/// Sets the scheduler that suits a program which mostly waits for the network: the `sharing` policy (the default one
/// wakes a thousand times a second when idle) and `runtime.threads` threads.
void apply(const runtime_settings& from, caf::actor_system_config& config);

/// Likewise, and what this program needs as a node among others, if [node] says that it is one. The actor system must
/// end on a thread that is none of its own.
void apply(const settings& from, caf::actor_system_config& config);

/// Makes the HTTP transport that provider actors share; one per process is enough. It ends with its last owner.
std::shared_ptr<http::client> make_transport();

/// Takes the `failure` out of an error that one of our actors answered. An error of CAF's own becomes a failure too,
/// so that callers have one form to handle.
failure failure_of(const caf::error& reason);

} // namespace modelforge
