#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

/// An HTTP/1.1 server for a few clients: one thread, bounded connections, a deadline for each step.
namespace modelforge::serve {

struct request {
  std::string method; ///< As it came: "GET".
  std::string path;   ///< Without the query; not decoded.
  std::string query;  ///< Behind the "?"; not decoded.
  std::string body;
};

struct response {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body{};
  std::vector<std::pair<std::string, std::string>> headers{}; ///< Further ones; neither may hold a line break.
};

/// Answers one request. May be called from any thread and at any time, also when the server is gone; a second call does
/// nothing.
using responder = std::function<void(response)>;

/// Takes a request, on the server's thread: it must not block, and may answer later. A HEAD is to be answered like a
/// GET; its body is not sent. What it throws becomes a 500.
using handler = std::function<void(const request&, responder)>;

struct options {
  std::string host = "127.0.0.1";                ///< Address or name to listen on.
  uint16_t port = 0;                             ///< 0: the system chooses one.
  std::size_t max_connections = 64;              ///< A further one is closed as soon as it is accepted.
  std::size_t max_header = 16u << 10;            ///< Bytes of request line and headers; beyond it 431.
  std::size_t max_body = 64u << 10;              ///< Bytes; beyond it 413.
  std::chrono::milliseconds idle_time{75'000};   ///< How long a connection may stay open between requests.
  std::chrono::milliseconds request_time{5'000}; ///< From a request's first byte to its last.
  std::chrono::milliseconds answer_time{5'000};  ///< For the handler; then the answer is 503.
  std::chrono::milliseconds write_time{10'000};  ///< For a client to take its answer.
};

/// Serves from `start` to the end of the object.
class http_server {
public:
  /// A failure is a text for people that names host and port.
  static std::variant<std::unique_ptr<http_server>, std::string> start(const options& options, handler handler);

  /// Closes the port and every connection, and waits for the thread: for the handler's current call at most. Not to be
  /// called from the handler.
  ~http_server();

  http_server(const http_server&) = delete;
  http_server& operator=(const http_server&) = delete;

  uint16_t port() const;

  /// E.g. "http://127.0.0.1:9464".
  std::string url() const;

  /// Connections open now.
  std::size_t connections() const;

private:
  class state;

  explicit http_server(std::unique_ptr<state> state);

  std::unique_ptr<state> state_;
};

} // namespace modelforge::serve
