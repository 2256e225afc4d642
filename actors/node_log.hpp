#pragma once

#include "actors/node_link.hpp"
#include "log/logger.hpp"
#include "node/credentials.hpp"

#include <chrono>
#include <optional>
#include <string>

namespace modelforge {

/// What a node's actor tells the log: changes, each once.
class node_log {
public:
  explicit node_log(log_handle log) : log_(std::move(log)) {}

  /// `address`: where it was found; empty: it came by itself.
  void connected(const std::string& peer, const std::string& address) const {
    tell(log::event::peer_connected, log::field::peer, peer, log::field::address, address);
  }

  void lost(const std::string& peer) const {
    tell_log(log_, log::event::peer_lost, [&](log::entry x) { return std::move(x).with(log::field::peer, peer); });
  }

  void refused(const std::string& peer, const std::string& why) const {
    tell(log::event::peer_refused, log::field::peer, peer, log::field::reason, why);
  }

  /// A link that was up has broken, which has been told.
  void break_off(node_link& link) { link.told = link.machine.problem(); }

  /// Tells why no link comes about where that is another reason than before.
  void look_at(node_link& link);

  /// Tells of another certificate, of files that cannot be used, and of an end that is near. Null: there are none.
  void look_at(const node::credentials* tls, node::time_point now);

private:
  void tell(log::event what, log::field a, const std::string& first, log::field b, const std::string& second) const {
    tell_log(log_, what, [&](log::entry x) { return std::move(x).with(a, first).with(b, second); });
  }

  log_handle log_;
  std::string known_certificate_;               ///< Its fingerprint; empty: none has been looked at.
  std::string told_problem_;                    ///< Of the files.
  std::optional<node::time_point> told_expiry_; ///< When its end was told last.
};

} // namespace modelforge
