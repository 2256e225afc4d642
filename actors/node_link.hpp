#pragma once

#include "node/connection.hpp"
#include "node/credentials.hpp"
#include "node/greeting.hpp"
#include "node/peer_link.hpp"
#include "node/probe.hpp"

#include <modelforge/config/settings.hpp>
#include <modelforge/messages/interfaces.hpp>
#include <modelforge/messages/node_hello.hpp>
#include <modelforge/messages/status.hpp>

#include <caf/error.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace modelforge {

/// The way to one of a node's configured peers: `peer_link` says which step comes next, the node's actor takes it.
struct node_link {
  node_link(node::address address, const node::link_settings& settings, node::time_point now)
    : address(std::move(address)), machine(settings, now) {}

  node::address address;
  node::peer_link machine;
  std::unique_ptr<node::probe> probe;
  std::shared_ptr<node::connection> connection; ///< That CAF is to have next.
  node_actor root;
  std::string name; ///< The peer's, once it has told.
  std::string told; ///< Why there is none, as the log has it.
};

using node_links = std::vector<std::unique_ptr<node_link>>;

peer_status status_of(const node_link& link, node::time_point now);

/// `peers`: all that can be reached, and since when.
node_status status_of(const node_settings& settings, const std::string& listening, const node_links& links,
                      const std::vector<std::pair<std::string, node::time_point>>& peers, node::time_point now);

/// What this node says to those that it meets.
node_hello hello_of(const node_settings& settings);

inline node::link_settings link_settings_of(const node_settings& settings) {
  return node::link_settings_for(settings.timeout);
}

/// Why no link leads to the node of that name, as far as is known.
std::string why_not(const node_links& links, const std::string& owner);

/// That the node's own files have changed and cannot be used, for the end of a text; empty: they can. `tls`: null in
/// the clear.
std::string unused_files(const node::credentials* tls);

/// Why a link did not come about, although something listens there.
std::string link_problem(const caf::error& why, const node::credentials* tls);

} // namespace modelforge
