#include "node/connection.hpp"

#include "node/certificate.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>

namespace modelforge::node {

namespace {

bool would_block(int error) {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

int socket_of(BIO* bio) {
  return static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio)));
}

// OpenSSL reads and writes by these, on the socket that the BIO has as its data.
int bio_read(BIO* bio, char* bytes, int max_bytes) {
  BIO_clear_retry_flags(bio);
  auto count = ::recv(socket_of(bio), bytes, static_cast<std::size_t>(max_bytes), 0);
  if (count < 0 && would_block(errno))
    BIO_set_retry_read(bio);
  return static_cast<int>(count);
}

int bio_write(BIO* bio, const char* bytes, int max_bytes) {
  BIO_clear_retry_flags(bio);
  auto count = ::send(socket_of(bio), bytes, static_cast<std::size_t>(max_bytes), MSG_NOSIGNAL);
  if (count < 0 && would_block(errno))
    BIO_set_retry_write(bio);
  return static_cast<int>(count);
}

long bio_control(BIO*, int command, long, void*) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

/// OpenSSL's own sockets raise SIGPIPE, which belongs to the host.
BIO_METHOD* quiet_socket() {
  static BIO_METHOD* const method = [] {
    auto* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket without signals");
    BIO_meth_set_read(made, bio_read);
    BIO_meth_set_write(made, bio_write);
    BIO_meth_set_ctrl(made, bio_control);
    return made;
  }();
  return method;
}

void free_tls(SSL* tls) {
  SSL_free(tls);
}

} // namespace

connection::connection(int socket, std::shared_ptr<ssl_ctx_st> context, side our_side)
  : socket_(socket), context_(std::move(context)), tls_(nullptr, free_tls), side_(our_side) {}

connection::~connection() {
  if (owned_)
    ::close(socket_);
}

/// What OpenSSL says to a call with this result. Its queue of errors belongs to the thread and must be empty before and
/// after each call: else somebody else's failure would be taken for ours.
connection::state connection::state_of(int result) {
  auto error = errno;
  auto code = SSL_get_error(tls_.get(), result);
  switch (code) {
    case SSL_ERROR_WANT_READ:
      return state::wants_read;
    case SSL_ERROR_WANT_WRITE:
      return state::wants_write;
    case SSL_ERROR_SSL: {
      auto verified = SSL_get_verify_result(tls_.get());
      auto* reason = ERR_reason_error_string(ERR_peek_error());
      if (verified != X509_V_OK)
        problem_ = std::string{"its certificate is refused: "} + X509_verify_cert_error_string(verified);
      else
        problem_ = reason != nullptr ? reason : "TLS failed";
      break;
    }
    case SSL_ERROR_SYSCALL:
      problem_ = error != 0 && !would_block(error) ? std::system_category().message(error) : left;
      break;
    default:
      problem_ = left;
      break;
  }
  ERR_clear_error();
  return state::closed;
}

// Called again and again, as the socket allows, until it is done. The certificate is verified by OpenSSL against the
// authority in the context; whose names it has is judged by who asks for them.
connection::state connection::shake_hands() {
  if (context_ == nullptr || shaken_)
    return state::done;
  ERR_clear_error();
  if (tls_ == nullptr) {
    tls_.reset(SSL_new(context_.get()));
    auto* bio = tls_ != nullptr ? BIO_new(quiet_socket()) : nullptr;
    if (bio == nullptr) {
      problem_ = "no memory for TLS";
      ERR_clear_error();
      return state::closed;
    }
    BIO_set_data(bio, reinterpret_cast<void*>(static_cast<intptr_t>(socket_)));
    BIO_set_init(bio, 1);
    SSL_set_bio(tls_.get(), bio, bio);
  }
  errno = 0;
  auto result = side_ == side::accepts ? SSL_accept(tls_.get()) : SSL_connect(tls_.get());
  if (result != 1)
    return state_of(result);
  shaken_ = true;
  std::unique_ptr<X509, decltype(&X509_free)> peer{SSL_get1_peer_certificate(tls_.get()), X509_free};
  if (peer)
    names_ = names_of(*peer);
  return state::done;
}

// In the clear and by TLS alike: one call of the system or of OpenSSL, and what it says. Nothing is read ahead, so
// `pending` is what OpenSSL alone holds.
connection::state connection::read(void* bytes, std::size_t max_bytes, std::size_t& count) {
  count = 0;
  max_bytes = std::min<std::size_t>(max_bytes, INT_MAX);
  errno = 0;
  if (tls_ == nullptr) {
    auto got = ::recv(socket_, bytes, max_bytes, 0);
    if (got <= 0)
      return got < 0 && would_block(errno) ? state::wants_read : state::closed;
    count = static_cast<std::size_t>(got);
    return state::done;
  }
  ERR_clear_error();
  auto got = SSL_read(tls_.get(), bytes, static_cast<int>(max_bytes));
  if (got <= 0)
    return state_of(got);
  count = static_cast<std::size_t>(got);
  return state::done;
}

// `MSG_NOSIGNAL`, since the peer may be gone and the process is not ours to be ended.
connection::state connection::write(const void* bytes, std::size_t max_bytes, std::size_t& count) {
  count = 0;
  max_bytes = std::min<std::size_t>(max_bytes, INT_MAX);
  errno = 0;
  if (tls_ == nullptr) {
    auto sent = ::send(socket_, bytes, max_bytes, MSG_NOSIGNAL);
    if (sent < 0)
      return would_block(errno) ? state::wants_write : state::closed;
    count = static_cast<std::size_t>(sent);
    return state::done;
  }
  ERR_clear_error();
  auto sent = SSL_write(tls_.get(), bytes, static_cast<int>(max_bytes));
  if (sent <= 0)
    return state_of(sent);
  count = static_cast<std::size_t>(sent);
  return state::done;
}

std::size_t connection::pending() const {
  return tls_ != nullptr ? static_cast<std::size_t>(SSL_pending(tls_.get())) : 0;
}

} // namespace modelforge::node
