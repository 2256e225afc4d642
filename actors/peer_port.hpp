#pragma once

#include "node/connection.hpp"
#include "node/door.hpp"

#include <caf/actor.hpp>
#include <caf/io/scribe.hpp>
#include <caf/node_id.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

// Where our connections with peers enter CAF's network layer. CAF makes none itself: its TLS (0.18) reads the
// certificate for each connection and ends the process when it cannot, and keeps who never shakes hands.

namespace modelforge {

/// The actor that carries messages between nodes. It takes a connection, made to a peer, by `connect_atom_v`, what
/// `scribe_of` has made of it, and the port; the answer is the peer's id, its published actor and that one's interface.
/// Asked `get_atom_v` with a peer's id it tells that connection's label, as `names_in` reads it.
caf::actor carrier_of(caf::actor_system& system);

/// `connection` as CAF has it; hands have been shaken. A message of more than `max_message_bytes` bytes, or one that
/// claims to be passed on for somebody else, ends the connection; one that would end actors does nothing (see
/// `peer_screen`).
caf::io::scribe_ptr scribe_of(caf::actor_system& system, std::shared_ptr<node::connection> connection,
                              uint64_t max_message_bytes);

/// The names in the certificate of the peer at the other end; empty: none, or the connection is gone.
std::vector<std::string> names_in(const std::string& label);

/// Opens the port that `options` says, and publishes `whom` there. The text says why that cannot be. Who enters may
/// send up to `max_message_bytes` bytes in a message.
std::variant<std::unique_ptr<node::door>, std::string>
publish_at(caf::actor_system& system, node::door::options options, const caf::strong_actor_ptr& whom,
           std::set<std::string> interface, uint64_t max_message_bytes);

} // namespace modelforge
