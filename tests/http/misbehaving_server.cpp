#include "tests/http/misbehaving_server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <stdexcept>

namespace modelforge::test {

namespace {

/// Makes a key and a certificate for 127.0.0.1 and localhost, gives them to `context`, and returns the certificate.
std::string make_certificate(SSL_CTX* context) {
  auto* key = EVP_EC_gen("P-256");
  auto* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 24 * 3600);
  X509_set_pubkey(certificate, key);
  auto* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  for (auto [id, value] : {std::pair{NID_subject_alt_name, "IP:127.0.0.1,DNS:localhost"},
                           std::pair{NID_basic_constraints, "critical,CA:TRUE"}}) {
    auto* extension = X509V3_EXT_conf_nid(nullptr, nullptr, id, value);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }
  X509_sign(certificate, key, EVP_sha256());
  SSL_CTX_use_certificate(context, certificate);
  SSL_CTX_use_PrivateKey(context, key);
  auto* memory = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(memory, certificate);
  char* text = nullptr;
  auto size = BIO_get_mem_data(memory, &text);
  std::string result{text, static_cast<std::size_t>(size)};
  BIO_free(memory);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return result;
}

std::size_t content_length(std::string_view head) {
  std::string lower{head};
  for (auto& c : lower)
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  std::size_t result = 0;
  if (auto at = lower.find("\r\ncontent-length: "); at != std::string::npos)
    std::from_chars(lower.data() + at + 18, lower.data() + lower.size(), result);
  return result;
}

} // namespace

// -- peer ----------------------------------------------------------------------------

peer::~peer() {
  if (tls_ != nullptr)
    SSL_free(tls_);
  close(socket_);
}

bool peer::read_some() {
  char buffer[16384];
  auto count = tls_ != nullptr ? SSL_read(tls_, buffer, sizeof buffer) : recv(socket_, buffer, sizeof buffer, 0);
  if (count <= 0)
    return false;
  unread_.append(buffer, static_cast<std::size_t>(count));
  return true;
}

std::optional<std::string> peer::read_request() {
  std::size_t end = 0;
  while ((end = unread_.find("\r\n\r\n")) == std::string::npos)
    if (!read_some())
      return std::nullopt;
  auto size = end + 4 + content_length(unread_.substr(0, end + 2));
  while (unread_.size() < size)
    if (!read_some())
      return std::nullopt;
  auto result = unread_.substr(0, size);
  unread_.erase(0, size);
  return result;
}

std::optional<std::string> peer::read_bytes(std::size_t count) {
  while (unread_.size() < count)
    if (!read_some())
      return std::nullopt;
  auto result = unread_.substr(0, count);
  unread_.erase(0, count);
  return result;
}

bool peer::send(std::string_view bytes) {
  while (!bytes.empty()) {
    auto part = bytes.substr(0, 16384);
    auto count = tls_ != nullptr ? SSL_write(tls_, part.data(), static_cast<int>(part.size()))
                                 : ::send(socket_, part.data(), part.size(), MSG_NOSIGNAL);
    if (count <= 0)
      return false;
    *bytes_sent += static_cast<std::size_t>(count);
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

bool peer::answer(std::string_view body, std::string_view more_headers) {
  std::string text = "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  ((text += more_headers) += "\r\n") += body;
  return send(text);
}

void peer::wait_for_close() {
  while (read_some())
    unread_.clear();
}

void peer::close_in_order() {
  shutdown(socket_, SHUT_WR);
  wait_for_close();
}

void peer::reset_on_close() {
  linger hard{.l_onoff = 1, .l_linger = 0};
  setsockopt(socket_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

void peer::stop() {
  shutdown(socket_, SHUT_RDWR);
}

// -- server -----------------------------------------------------------------------------

misbehaving_server::misbehaving_server(behaviour what, options how) : behaviour_(std::move(what)), options_(how) {
  if (options_.tls) {
    tls_ = SSL_CTX_new(TLS_server_method());
    certificate_ = make_certificate(tls_);
    auto choose = [](SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in, unsigned length,
                     void*) {
      static const unsigned char wanted[] = {2, 'h', '2'};
      auto* to = const_cast<unsigned char**>(out);
      return SSL_select_next_proto(to, size, wanted, sizeof wanted, in, length) == OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_NOACK;
    };
    if (options_.http2)
      SSL_CTX_set_alpn_select_cb(tls_, choose, nullptr);
  }
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int small = 64 << 10;
  setsockopt(listener_, SOL_SOCKET, SO_SNDBUF, &small, sizeof small); // connections inherit it
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* raw = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener_, raw, size) != 0 || listen(listener_, 4096) != 0 || getsockname(listener_, raw, &size) != 0)
    throw std::runtime_error("the test server cannot listen");
  port_ = ntohs(address.sin_port);
  thread_ = std::thread{[this] { accept_all(); }};
}

misbehaving_server::~misbehaving_server() {
  stopping_ = true;
  shutdown(listener_, SHUT_RDWR);
  thread_.join();
  close(listener_);
  for (auto& x : served_) // no new ones come
    if (std::lock_guard lock{mutex_}; x.who)
      x.who->stop();
  for (auto& x : served_)
    if (x.thread.joinable())
      x.thread.join();
  served_.clear();
  if (tls_ != nullptr)
    SSL_CTX_free(tls_);
}

std::string misbehaving_server::url(std::string_view path) const {
  return (options_.tls ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(port_) + std::string{path};
}

bool misbehaving_server::is_idle() {
  std::lock_guard lock{mutex_};
  return std::all_of(served_.begin(), served_.end(), [](auto& x) { return !x.who; });
}

void misbehaving_server::for_each_kept(const std::function<void(peer&)>& f) {
  std::lock_guard lock{mutex_};
  for (auto& x : served_)
    if (x.who && x.who->kept_open())
      f(*x.who);
}

void misbehaving_server::accept_all() {
  sigset_t
    pipe{}; // OpenSSL's writes raise it; not ignored process-wide, which would hide it from the transport's tests
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  while (!stopping_) {
    auto fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0)
      continue;
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    SSL* tls = nullptr;
    if (tls_ != nullptr) {
      tls = SSL_new(tls_);
      SSL_set_fd(tls, fd);
    }
    auto who = std::make_unique<peer>(fd, connections++, tls);
    who->bytes_sent = &bytes_sent;
    std::unique_lock lock{mutex_};
    auto& entry = served_.emplace_back();
    entry.who = std::move(who);
    auto run = [this, &entry, tls] {
      if (tls == nullptr || SSL_accept(tls) == 1)
        behaviour_(*entry.who);
      std::lock_guard guard{mutex_};
      if (!entry.who->kept_open())
        entry.who.reset();
      ERR_clear_error();
    };
    if (!options_.one_thread) {
      entry.thread = std::thread{run};
      continue;
    }
    lock.unlock();
    run();
  }
}

} // namespace modelforge::test
