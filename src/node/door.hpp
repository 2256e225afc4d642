#pragma once

#include "node/connection.hpp"
#include "node/credentials.hpp"
#include "node/greeting.hpp"
#include "node/waiting_room.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <variant>
#include <vector>

namespace modelforge::node {

/// Where peers knock: listens, and lets in who has shaken hands and said a first word, on a thread of its own, so that
/// nobody who connects and then says nothing, or garbage, costs more than a place in the waiting room. A failure costs
/// the connection that it befell. Without free descriptors the ones who have waited longest go, then it waits.
class door {
public:
  /// How a node's first message begins.
  using first_word = std::array<unsigned char, 32>;

  struct options {
    address at;                       ///< Port 0: the system chooses one.
    std::shared_ptr<credentials> tls; ///< Null: in the clear.
    waiting_room::settings waiting;
    /// Whether somebody who begins so may come in. Asked of those in the clear; TLS lets nobody else say anything.
    std::function<bool(const first_word&)> is_node;
    /// Takes whoever may come in; on the door's thread.
    std::function<void(std::unique_ptr<connection>)> let_in;
    /// Hears whose handshake failed, by address, and why; on the door's thread. May be empty.
    std::function<void(const std::string& origin, const std::string& why)> on_refused{};
  };

  /// Opens the port; the text says why it cannot.
  static std::variant<std::unique_ptr<door>, std::string> open(options options);

  /// Closes the port, and sends away who waits.
  ~door();

  door(const door&) = delete;
  door& operator=(const door&) = delete;

  uint16_t port() const { return port_; }

private:
  struct guest;

  door(options options, int listener);

  void run();
  void accept_some();
  bool welcome(guest& guest);

  options options_;
  int listener_;
  int stop_;
  uint16_t port_ = 0;
  waiting_room waiting_;
  std::map<waiting_room::guest_id, std::unique_ptr<guest>> guests_;
  waiting_room::guest_id last_ = 0;
  waiting_room::time_point closed_until_{}; ///< For lack of descriptors.
  std::thread thread_;
};

} // namespace modelforge::node
