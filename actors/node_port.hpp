#pragma once

#include "node/credentials.hpp"
#include "node/door.hpp"

#include <modelforge/config/settings.hpp>
#include <modelforge/log/start_log.hpp>
#include <modelforge/messages/interfaces.hpp>

#include <cstdint>
#include <memory>
#include <variant>

/// A node's files and its port.

namespace modelforge {

inline bool uses_tls(const node_settings& settings) {
  return !settings.tls.certificate.empty();
}

/// What a peer's message may have at most: what it is asked to keep to, and room for peers with other settings.
uint64_t max_message_of(const node_settings& settings);

/// Reads the files in [node.tls]; null where there are none, and links are in the clear.
std::variant<std::shared_ptr<node::credentials>, failure> read_credentials(const node_settings& settings);

/// Opens the port for those who come to `root`; who is not let in, and why, goes to the log. A failure says why that
/// cannot be. Blocks until it is open.
std::variant<std::unique_ptr<node::door>, failure> open_door(const node_actor& root, const node_settings& settings,
                                                             std::shared_ptr<node::credentials> tls,
                                                             const log_handle& log);

} // namespace modelforge
