#include "serve/http_server.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/verb.hpp>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

namespace modelforge::serve {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto accept_pause = std::chrono::milliseconds{20}; ///< When the process has no file descriptor left.
constexpr auto linger_time = std::chrono::seconds{2}; ///< For a client to read an answer that ends its connection.
constexpr std::size_t read_size = 4u << 10;

class connection;

/// What the server's connections share. Used on its thread, but for `size`.
struct hub {
  options settings;
  handler handle;
  std::set<connection*> open{};
  std::atomic<std::size_t> size{0};
};

/// Lets other threads reach the server's thread as long as it is there.
class gate {
public:
  explicit gate(asio::io_context& io) : io_(&io) {}

  template <class F>
  void post(F f) {
    std::lock_guard guard{mutex_};
    if (io_ != nullptr)
      asio::post(*io_, std::move(f));
  }

  void shut() {
    std::lock_guard guard{mutex_};
    io_ = nullptr;
  }

private:
  std::mutex mutex_;
  asio::io_context* io_; ///< Null: the server has ended.
};

response plain(int status, std::string text) {
  response answer;
  answer.status = status;
  answer.body = std::move(text) + "\n";
  return answer;
}

/// Status line and headers of an answer, to the empty line.
std::string head_of(const response& answer, bool keep_alive) {
  auto reason = http::obsolete_reason(http::int_to_status(static_cast<unsigned>(answer.status)));
  auto text = "HTTP/1.1 " + std::to_string(answer.status) + " " + std::string{reason.data(), reason.size()}
              + "\r\nContent-Type: " + answer.content_type + "\r\nContent-Length: " + std::to_string(answer.body.size())
              + "\r\nConnection: " + (keep_alive ? "keep-alive" : "close") + "\r\n";
  for (auto& [name, value] : answer.headers)
    text += name + ": " + value + "\r\n";
  return text + "\r\n";
}

/// What is asked for, without the host where that stands in it, as in a proxy's "GET http://host/path".
std::string path_and_query_of(std::string target) {
  auto scheme = target.find("://");
  if (scheme == target.npos || target.front() == '/')
    return target;
  auto end = std::min(target.find_first_of("/?", scheme + 3), target.size()); // of the host
  auto path_and_query = target.substr(end);
  return path_and_query.starts_with('/') ? path_and_query : '/' + path_and_query;
}

/// One TCP connection: a request, its answer, the next request. Every handler holds a shared pointer; the connection
/// ends when nothing is left to wait for. Runs on the server's thread, with the answers too, which other threads hand
/// over; times and sizes are bounded, so that whoever connects can hold neither a thread nor memory.
class connection : public std::enable_shared_from_this<connection> {
public:
  connection(tcp::socket socket, hub& shared, std::shared_ptr<gate> gate)
    : shared_(shared), gate_(std::move(gate)), stream_(std::move(socket)), timer_(stream_.get_executor()) {
    shared_.open.insert(this);
    ++shared_.size;
  }

  ~connection() {
    shared_.open.erase(this);
    --shared_.size;
  }

  /// Waits for the next request's first bytes.
  void begin() {
    if (buffer_.size() > 0)
      return read();
    stream_.expires_after(shared_.settings.idle_time);
    stream_.async_read_some(buffer_.prepare(read_size), [self = shared_from_this()](error_code error, std::size_t n) {
      if (error)
        return;
      self->buffer_.commit(n);
      self->read();
    });
  }

  void close() {
    error_code ignored;
    answered_ = true;
    timer_.cancel();
    stream_.socket().close(ignored);
  }

private:
  void read() {
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(shared_.settings.max_header));
    parser_->body_limit(shared_.settings.max_body);
    stream_.expires_after(shared_.settings.request_time);
    http::async_read(stream_, buffer_, *parser_, [self = shared_from_this()](error_code error, std::size_t) {
      if (!self->stream_.socket().is_open())
        return;
      if (error)
        self->reject(error);
      else
        self->handle();
    });
  }

  /// Answers what could not be read, where somebody listens: a client that has closed gets nothing.
  void reject(error_code error) {
    is_head_ = false;
    if (error == http::error::header_limit)
      return refuse(plain(431, "the request's headers are too large"));
    if (error == http::error::body_limit)
      return refuse(plain(413, "the request's body is too large"));
    if (error.category() == http::make_error_code(http::error::bad_method).category()
        && error != http::error::end_of_stream && error != http::error::partial_message)
      refuse(plain(400, "not a valid HTTP request: " + error.message()));
  }

  /// Answers, and ends the connection.
  void refuse(const response& no) {
    keep_alive_ = false;
    send(no);
  }

  /// Hands a whole request to the handler. Its answer may come at once, later, from another thread, or never, which the
  /// timer turns into a 503; `handled_` distinguishes an answer that comes too late from the one to the next request.
  void handle() {
    auto& message = parser_->get();
    is_head_ = message.method() == http::verb::head;
    if (message.version() > 10 && message.count(http::field::host) != 1) // RFC 9112, 3.2
      return refuse(plain(400, "not a valid HTTP request: it needs one Host header"));
    keep_alive_ = message.keep_alive();
    request incoming;
    incoming.method = std::string{message.method_string().data(), message.method_string().size()};
    auto target = path_and_query_of({message.target().data(), message.target().size()});
    auto mark = target.find('?');
    incoming.path = target.substr(0, mark);
    if (mark != target.npos)
      incoming.query = target.substr(mark + 1);
    incoming.body = std::move(message.body());
    answered_ = false;
    auto number = ++handled_;
    stream_.expires_never();
    timer_.expires_after(shared_.settings.answer_time);
    timer_.async_wait([self = shared_from_this(), number](error_code error) {
      if (!error)
        self->answer(number, plain(503, "no answer in time"));
    });
    try {
      shared_.handle(incoming, responder_for(number));
    } catch (const std::exception&) {
      answer(number, plain(500, "an unexpected error"));
    }
  }

  /// The answer's way back: through the gate, which the server shuts before it ends, to the connection if it is still
  /// there.
  responder responder_for(uint64_t number) {
    return [gate = gate_, weak = weak_from_this(), number](response answer) {
      gate->post([weak, number, answer = std::move(answer)]() mutable {
        if (auto self = weak.lock())
          self->answer(number, std::move(answer));
      });
    };
  }

  void answer(uint64_t number, response response) {
    if (answered_ || number != handled_)
      return;
    answered_ = true;
    timer_.cancel();
    send(response);
  }

  /// A connection that goes on waits for the next request; one that ends lets the client read first.
  void send(const response& answer) {
    out_ = head_of(answer, keep_alive_);
    if (!is_head_)
      out_ += answer.body;
    stream_.expires_after(shared_.settings.write_time);
    asio::async_write(stream_, asio::buffer(out_), [self = shared_from_this()](error_code error, std::size_t) {
      if (error)
        return;
      self->out_ = {};
      if (self->keep_alive_)
        self->begin();
      else
        self->linger();
    });
  }

  /// Reads on until the client has closed: closing first would lose it an answer that it has not read yet.
  void linger() {
    error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    stream_.expires_after(linger_time);
    drain();
  }

  void drain() {
    buffer_.clear();
    stream_.async_read_some(buffer_.prepare(read_size), [self = shared_from_this()](error_code error, std::size_t) {
      if (!error && self->drained_++ < max_drained)
        self->drain();
    });
  }

  static constexpr int max_drained = 256; ///< Reads.

  hub& shared_;
  std::shared_ptr<gate> gate_;
  beast::tcp_stream stream_;
  asio::steady_timer timer_; ///< For the handler's answer.
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::string out_;
  uint64_t handled_ = 0;
  bool answered_ = true;
  bool keep_alive_ = false;
  bool is_head_ = false;
  int drained_ = 0;
};

std::string cannot_listen(const options& options, const error_code& error) {
  return "cannot listen on " + options.host + ":" + std::to_string(options.port) + ": " + error.message();
}

/// Opens the port at the first address that the host's name has.
error_code listen(tcp::acceptor& acceptor, asio::io_context& io, const options& options) {
  error_code error;
  tcp::resolver resolver{io};
  auto found = resolver.resolve(options.host, std::to_string(options.port), tcp::resolver::passive, error);
  if (error || found.empty())
    return error ? error : asio::error::host_not_found;
  auto endpoint = found.begin()->endpoint();
  acceptor.open(endpoint.protocol(), error);
  if (!error)
    acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error)
    acceptor.bind(endpoint, error);
  if (!error)
    acceptor.listen(tcp::acceptor::max_listen_connections, error);
  return error;
}

} // namespace

/// The server's thread and what runs on it. It ends when the port is closed and each connection's last handler has run:
/// there is no other way out of `io_.run()`, so nothing is destroyed under a handler.
class http_server::state {
public:
  state(const options& options, handler handler)
    : hub_{options, std::move(handler)}, io_(1), acceptor_(io_), pause_(io_), gate_(std::make_shared<gate>(io_)) {}

  ~state() {
    if (!thread_.joinable())
      return;
    gate_->shut();
    asio::post(io_, [this] {
      error_code ignored;
      acceptor_.close(ignored);
      pause_.cancel();
      for (auto* connection : hub_.open) // none ends within: each has a handler that is still to come
        connection->close();
    });
    thread_.join(); // run() ends when the last connection has let go
  }

  std::optional<std::string> start() {
    if (auto error = listen(acceptor_, io_, hub_.settings))
      return cannot_listen(hub_.settings, error);
    endpoint_ = acceptor_.local_endpoint();
    accept();
    thread_ = std::thread{[this] { io_.run(); }};
    return {};
  }

  const tcp::endpoint& endpoint() const { return endpoint_; }
  std::size_t connections() const { return hub_.size; }

private:
  void accept() {
    acceptor_.async_accept([this](error_code error, tcp::socket socket) {
      if (!acceptor_.is_open())
        return;
      if (!error && hub_.open.size() < hub_.settings.max_connections)
        std::make_shared<connection>(std::move(socket), hub_, gate_)->begin();
      if (error == asio::error::no_descriptors || error == asio::error::no_memory
          || error == asio::error::no_buffer_space)
        return accept_later();
      accept();
    });
  }

  /// Without a free descriptor accepting would fail again at once, and keep the thread busy.
  void accept_later() {
    pause_.expires_after(accept_pause);
    pause_.async_wait([this](error_code) {
      if (acceptor_.is_open())
        accept();
    });
  }

  hub hub_; // before `io_`, which may still hold connections
  asio::io_context io_;
  tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  std::shared_ptr<gate> gate_;
  tcp::endpoint endpoint_;
  std::thread thread_;
};

std::variant<std::unique_ptr<http_server>, std::string> http_server::start(const options& options, handler handler) {
  auto made = std::make_unique<state>(options, std::move(handler));
  if (auto problem = made->start())
    return *std::move(problem);
  return std::unique_ptr<http_server>{new http_server{std::move(made)}};
}

http_server::http_server(std::unique_ptr<state> state) : state_(std::move(state)) {}

http_server::~http_server() = default;

uint16_t http_server::port() const {
  return state_->endpoint().port();
}

std::string http_server::url() const {
  auto& endpoint = state_->endpoint();
  auto host = endpoint.address().to_string();
  return "http://" + (endpoint.address().is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(endpoint.port());
}

std::size_t http_server::connections() const {
  return state_->connections();
}

} // namespace modelforge::serve
