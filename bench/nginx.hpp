#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <sys/types.h>

namespace modelforge::bench {

/// What an nginx does.
struct nginx_options {
  std::string body{}; ///< Of every answer.
  std::string type = "application/json";
  std::string proxy_to{};      ///< URL of a server that gets all requests instead; answers are passed on as they come.
  bool tls = false;            ///< With a certificate of its own, and HTTP/2 for clients that want it.
  bool only_http2 = false;     ///< Refuses others, with 505.
  std::size_t send_buffer = 0; ///< SO_SNDBUF in bytes, which Linux doubles; 0: the system's.
  unsigned workers = 1;        ///< Each has descriptors of its own; a proxied stream needs two.
};

/// An nginx of our own on 127.0.0.1 that answers every request with one body, or passes it on: a provider nobody here
/// wrote, good for tens of thousands of answers a second. Throws std::runtime_error when nginx is not installed or does
/// not start.
class nginx {
public:
  explicit nginx(nginx_options options);
  ~nginx();
  nginx(const nginx&) = delete;
  nginx& operator=(const nginx&) = delete;

  /// E.g. "http://127.0.0.1:41234".
  const std::string& url() const { return url_; }

  /// With TLS: the certificate that a client must trust.
  std::string ca_file() const { return (folder_ / "certificate.pem").string(); }

  /// With one worker: bytes that it has read so far, from files and from sockets.
  uint64_t bytes_read() const;

private:
  void start(uint16_t port);
  void make_certificate() const;
  std::string configuration(uint16_t port) const;

  nginx_options options_;
  std::filesystem::path folder_;
  std::string url_;
  pid_t process_ = -1;
};

} // namespace modelforge::bench
