#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

struct ssl_ctx_st; // OpenSSL's
struct ssl_st;

namespace modelforge::node {

/// A TCP connection with a peer, in the clear or as TLS. It never blocks and raises no signal. To be used by one thread
/// at a time. A failure, whatever its kind, ends this connection only.
class connection {
public:
  enum class side { accepts, connects };
  enum class state {
    done,
    wants_read,  ///< Again when there is something to read.
    wants_write, ///< Again when something can be written.
    closed,      ///< By the peer, or broken: `problem` may know why.
  };

  /// Takes over the socket, which must not block. `context`: for TLS; null: in the clear.
  connection(int socket, std::shared_ptr<ssl_ctx_st> context, side our_side);
  ~connection();
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  /// Goes on with the handshake until it is done.
  state shake_hands();

  /// `count`: how many bytes came; more than none if it is done.
  state read(void* bytes, std::size_t max_bytes, std::size_t& count);

  /// `count`: how many bytes went; more than none if it is done.
  state write(const void* bytes, std::size_t max_bytes, std::size_t& count);

  /// How many bytes can be read though nothing may come from the network any more.
  std::size_t pending() const;

  int socket() const { return socket_; }

  /// Who closes the socket now is the caller.
  void disown_socket() { owned_ = false; }

  /// After the handshake: the names in the peer's certificate; empty without TLS.
  const std::vector<std::string>& names() const { return names_; }

  /// The `problem` of one that its peer has closed without a word.
  static constexpr auto left = "it closed the connection";

  /// Why it is closed; empty: unknown.
  const std::string& problem() const { return problem_; }

private:
  state state_of(int result);

  int socket_;
  bool owned_ = true;
  bool shaken_ = false;
  std::shared_ptr<ssl_ctx_st> context_;
  std::unique_ptr<ssl_st, void (*)(ssl_st*)> tls_;
  side side_;
  std::vector<std::string> names_;
  std::string problem_;
};

} // namespace modelforge::node
