#pragma once

#include <modelforge/actors/runtime.hpp>

#include "tests/http/misbehaving_server.hpp"
#include "tests/http/waiting.hpp"
#include "tests/support/authority.hpp"
#include "tests/support/settings.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tools/simulator/simulator.hpp"

#include <catch2/catch_test_macros.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

/// Nodes in one process, each a runtime of its own, over loopback, and peers and links that misbehave.
namespace modelforge::node_test {

using namespace std::chrono_literals;

inline settings base_of(const std::string& name) {
  auto x = test::without_state();
  x.runtime.grace_period = 2s;
  x.node.name = name;
  return x;
}

inline provider_settings provider_of(const std::string& url, const std::string& owner) {
  auto x = test::simulated_at(url, "sim");
  x.default_embedding_model = "sim-embedding";
  x.max_concurrent = 64;
  x.nodes = {owner};
  return x;
}

/// A node that runs the provider.
inline settings owner_of(const std::string& url, const std::string& listen = "127.0.0.1:0") {
  auto x = base_of("owner");
  x.node.listen = listen;
  x.providers.push_back(provider_of(url, "owner"));
  return x;
}

/// A host that reaches it.
inline settings guest_of(const std::string& peer, const std::string& name = "guest") {
  auto x = base_of(name);
  x.node.peers = {peer};
  x.providers.push_back(provider_of("http://127.0.0.1:9", "owner")); // not from here
  return x;
}

inline chat_request sum_of(int i) {
  chat_request x;
  x.messages.push_back(text_message(role::user, "What is " + std::to_string(i) + " + 1000?"));
  return x;
}

/// Certificates of one authority.
struct certified {
  certified() { folder.write("ca.pem", ca.certificate()); }

  /// Gives the node a certificate for `name`; empty: for its own.
  settings with(settings x, std::string name = {}) {
    if (name.empty())
      name = x.node.name;
    renew(name);
    x.node.tls.certificate = folder.path(name + ".pem");
    x.node.tls.key = folder.path(name + ".key");
    x.node.tls.ca = folder.path("ca.pem");
    return x;
  }

  void renew(const std::string& name) {
    auto made = ca.certify(name);
    folder.write(name + ".pem", made.certificate);
    folder.write(name + ".key", made.key);
  }

  test::authority ca;
  test::temporary_folder folder;
};

/// A bare connection to HOST:PORT of this machine.
class bare_connection {
public:
  explicit bare_connection(const std::string& to) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(static_cast<uint16_t>(std::stoi(to.substr(to.rfind(':') + 1))));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(socket_, reinterpret_cast<sockaddr*>(&at), sizeof(at)) == 0);
  }
  bare_connection(bare_connection&& x) noexcept : socket_(std::exchange(x.socket_, -1)) {}
  ~bare_connection() {
    if (socket_ >= 0)
      ::close(socket_);
  }

  bool is_closed() const {
    char bytes[256];
    ssize_t count;
    while ((count = ::recv(socket_, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
      continue;
    return count == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
  }

  void say(const std::string& x) const { static_cast<void>(!::send(socket_, x.data(), x.size(), MSG_NOSIGNAL)); }

private:
  int socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
};

/// Passes on what comes to a port of its own, either way at so many bytes a second at most.
class slow_link {
public:
  slow_link(const std::string& to, double rate) : to_(port_of(to)), rate_(rate) {
    auto address = loopback(0);
    REQUIRE(::bind(door_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
    REQUIRE(::listen(door_, 8) == 0);
    socklen_t size = sizeof(address);
    REQUIRE(::getsockname(door_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    at = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    doorman_ = std::thread{[this] { let_in(); }};
  }

  ~slow_link() {
    ::shutdown(door_, SHUT_RDWR);
    doorman_.join();
    for (auto x : sockets_)
      ::shutdown(x, SHUT_RDWR);
    for (auto& x : pumps_)
      x.join();
    for (auto x : sockets_)
      ::close(x);
    ::close(door_);
  }

  std::string at;
  std::atomic<int> links{0}; ///< That were made.

private:
  static uint16_t port_of(const std::string& x) { return static_cast<uint16_t>(std::stoi(x.substr(x.rfind(':') + 1))); }

  static sockaddr_in loopback(uint16_t port) {
    sockaddr_in x{};
    x.sin_family = AF_INET;
    x.sin_port = htons(port);
    x.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return x;
  }

  static int narrow_socket() {
    auto x = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int size = 64 << 10; // what waits on the way is small
    ::setsockopt(x, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    ::setsockopt(x, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    return x;
  }

  void let_in() {
    for (int in; (in = ::accept4(door_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
      auto out = narrow_socket();
      auto address = loopback(to_);
      if (::connect(out, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0)
        ::shutdown(in, SHUT_RDWR);
      ++links;
      sockets_.insert(sockets_.end(), {in, out});
      pumps_.emplace_back([this, in, out] { pump(in, out); });
      pumps_.emplace_back([this, in, out] { pump(out, in); });
    }
  }

  void pump(int from, int to) const {
    std::array<char, 16 << 10> bytes;
    auto next = std::chrono::steady_clock::now();
    for (ssize_t count; (count = ::recv(from, bytes.data(), bytes.size(), 0)) > 0;) {
      next = std::max(next, std::chrono::steady_clock::now())
             + std::chrono::nanoseconds(static_cast<int64_t>(1e9 * static_cast<double>(count) / rate_));
      std::this_thread::sleep_until(next); // it is slow
      for (ssize_t sent = 0, n; sent < count; sent += n)
        if ((n = ::send(to, bytes.data() + sent, static_cast<std::size_t>(count - sent), MSG_NOSIGNAL)) <= 0)
          break;
    }
    ::shutdown(from, SHUT_RDWR);
    ::shutdown(to, SHUT_RDWR);
  }

  uint16_t to_;
  double rate_;
  int door_ = narrow_socket();
  std::vector<int> sockets_;
  std::vector<std::thread> pumps_;
  std::thread doorman_;
};

inline std::string problem_of(runtime& x, std::size_t peer = 0) {
  std::string result;
  CHECK(test::eventually([&] { return !(result = x.node().peers.at(peer).problem).empty(); }));
  return result;
}

inline bool is_up(runtime& x) {
  auto status = x.node();
  return !status.peers.empty() && status.peers.front().up;
}

/// Whether each link has come up, or has told why it cannot.
inline bool knows_all_links(runtime& x) {
  auto peers = x.node().peers;
  return std::all_of(peers.begin(), peers.end(), [](auto& y) { return y.up || !y.problem.empty(); });
}

} // namespace modelforge::node_test
