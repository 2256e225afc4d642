#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

typedef struct ssl_st SSL; // OpenSSL's
typedef struct ssl_ctx_st SSL_CTX;

namespace modelforge::test {

/// One connection, as the server sees it.
class peer {
public:
  peer(int socket, std::size_t number, SSL* tls) : number(number), socket_(socket), tls_(tls) {}
  ~peer();

  peer(const peer&) = delete;
  peer& operator=(const peer&) = delete;

  const std::size_t number; ///< Of the connection, from 0.

  /// Reads a request, head and body. Empty when the client has closed the connection.
  std::optional<std::string> read_request();

  /// Reads so many bytes. Empty when the client has closed the connection.
  std::optional<std::string> read_bytes(std::size_t count);

  /// Sends all of it, waiting while the client does not read. False when the connection is gone.
  bool send(std::string_view bytes);

  /// Sends a whole answer of status 200.
  bool answer(std::string_view body, std::string_view more_headers = {});

  /// Waits until the client closes the connection.
  void wait_for_close();

  /// Sends no more, and takes in what still comes: so nothing sent is lost, as it may be where much is unread.
  void close_in_order();

  /// Has the connection end by a reset instead of an orderly close.
  void reset_on_close();

  /// Leaves the connection open when the behaviour returns, until the server ends.
  void keep_open() { keep_open_ = true; }

  bool kept_open() const { return keep_open_; }

  /// Wakes up whoever waits in one of the above, from another thread.
  void stop();

  std::atomic<std::size_t>* bytes_sent = nullptr;

private:
  bool read_some();

  int socket_;
  SSL* tls_;
  std::atomic<bool> keep_open_{false};
  std::string unread_;
};

/// A server on 127.0.0.1 that does to each connection what a test says. Its send buffers are 64 KiB, so that a client
/// that stops reading is felt.
class misbehaving_server {
public:
  /// Handles one connection, on a thread of its own; it is closed afterwards.
  using behaviour = std::function<void(peer&)>;

  struct options {
    bool tls = false;
    bool http2 = false;      ///< Over TLS: agrees on HTTP/2, whose frames the behaviour reads and sends.
    bool one_thread = false; ///< Run behaviours one after the other, for thousands of connections.
  };

  misbehaving_server(behaviour what, options how);
  explicit misbehaving_server(behaviour what) : misbehaving_server(std::move(what), options{}) {}
  ~misbehaving_server();

  std::string url(std::string_view path = "/") const;
  uint16_t port() const { return port_; }

  /// The certificate of a TLS server, PEM; it is its own authority.
  const std::string& certificate() const { return certificate_; }

  /// Whether every connection has been closed here, too.
  bool is_idle();

  /// Calls `f` for each connection that is kept open.
  void for_each_kept(const std::function<void(peer&)>& f);

  std::atomic<std::size_t> connections{0};
  std::atomic<std::size_t> requests{0}; ///< Not counted here: for behaviours.
  std::atomic<std::size_t> bytes_sent{0};

private:
  struct served {
    std::unique_ptr<peer> who;
    std::thread thread;
  };

  void accept_all();

  behaviour behaviour_;
  options options_;
  SSL_CTX* tls_ = nullptr;
  std::string certificate_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::list<served> served_; ///< Guarded by `mutex_`.
  std::thread thread_;
};

} // namespace modelforge::test
