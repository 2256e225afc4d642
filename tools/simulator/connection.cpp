#include "tools/simulator/connection.hpp"

#include "tools/simulator/random.hpp"
#include "tools/simulator/router.hpp"
#include "tools/simulator/text.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <memory>
#include <optional>

namespace modelforge::simulator {

namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

constexpr std::size_t write_size = 16u << 10;    ///< Events that are due together share a write up to this size.
constexpr std::size_t pipeline_size = 64u << 10; ///< Bytes read ahead while an answer is under way.
constexpr std::size_t kept_capacity = 4u << 10;  ///< A larger buffer is freed between uses.
constexpr auto linger_time = std::chrono::seconds(2);
constexpr std::chrono::duration<double> longest_wait = std::chrono::hours(1); ///< Before one token, or the first byte.

std::string_view view(boost::beast::string_view x) {
  return {x.data(), x.size()};
}

void release_if_large(std::string& buffer) {
  buffer.clear();
  if (buffer.capacity() > kept_capacity)
    buffer.shrink_to_fit();
}

/// Returns the Date header's value for `seconds` since 1970.
std::string http_date(int64_t seconds) {
  std::time_t time = seconds;
  std::tm parts{};
  gmtime_r(&time, &parts);
  char text[64];
  return {text, std::strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &parts)};
}

} // namespace

/// One TCP connection: reads a request, lets the router answer it, sends the answer at its pace, reads the next.
///
/// While an answer waits or is sent the socket is watched for reading, so that a peer that goes away is noticed at
/// once. Every handler holds a shared pointer; the connection ends when nothing is left to wait for.
class connection : public std::enable_shared_from_this<connection> {
public:
  connection(asio::ip::tcp::socket socket, hub& shared)
    : shared_(shared), socket_(std::move(socket)), timer_(socket_.get_executor()) {
    shared_.connections.insert(this);
    shared_.book.connected();
  }

  ~connection() {
    shared_.connections.erase(this);
    shared_.book.disconnected();
  }

  void start() {
    error_code ignored;
    socket_.non_blocking(true, ignored);
    socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
    watch();
  }

  /// Ends the connection; what is being answered ends with `how`.
  void close(stats_book::outcome how) {
    end_exchange(how);
    state_ = state::closed;
    error_code ignored;
    timer_.cancel();
    socket_.close(ignored);
  }

private:
  enum class state : uint8_t { reading, answering, lingering, closed };
  using request_parser = http::request_parser<http::string_body>;

  // -- reading ------------------------------------------------------------------

  void watch() {
    if (is_watching_ || state_ == state::closed)
      return;
    is_watching_ = true;
    socket_.async_wait(asio::socket_base::wait_read, [self = shared_from_this()](error_code error) {
      self->is_watching_ = false;
      if (!error && self->state_ != state::closed)
        self->on_readable();
    });
  }

  void on_readable() {
    error_code error;
    auto size = socket_.read_some(asio::buffer(shared_.scratch), error);
    if (error == asio::error::would_block || error == asio::error::interrupted)
      return watch();
    if (error)
      return close(stats_book::outcome::aborted);
    std::string_view bytes(shared_.scratch.data(), size);
    if (state_ == state::lingering)
      return watch();
    if (state_ == state::reading && unread_.empty()) {
      auto used = parse(bytes);
      unread_.append(bytes.substr(used));
    } else {
      unread_.append(bytes);
      if (state_ == state::reading)
        parse_unread();
    }
    if (state_ != state::answering || unread_.size() < pipeline_size)
      watch();
  }

  void parse_unread() {
    auto used = parse(unread_);
    unread_.erase(0, used);
  }

  /// Reads what it can of one request, answers it when it is whole, and returns how many bytes it used up.
  std::size_t parse(std::string_view bytes) {
    if (!parser_)
      begin_request();
    std::size_t used = 0;
    error_code error;
    while (used < bytes.size() && !parser_->is_done() && !error)
      used += parser_->put(asio::buffer(bytes.substr(used)), error);
    if (error == http::error::need_more)
      error = {};
    if (error == http::error::body_limit)
      refuse(413, "The request's body is larger than " + std::to_string(shared_.settings.max_body) + " bytes.");
    else if (error == http::error::header_limit)
      refuse(431, "The request's headers are larger than " + std::to_string(shared_.settings.max_header) + " bytes.");
    else if (error)
      refuse(400, "The request is not valid HTTP: " + error.message() + ".");
    else if (parser_->is_done())
      answer_request();
    else if (parser_->is_header_done())
      encourage();
    return used;
  }

  void begin_request() {
    parser_ = std::make_unique<request_parser>();
    parser_->eager(true);
    parser_->body_limit(shared_.settings.max_body);
    parser_->header_limit(static_cast<uint32_t>(shared_.settings.max_header));
    is_encouraged_ = false;
  }

  /// Tells a client that waits with its body to send it.
  void encourage() {
    constexpr std::string_view text = "HTTP/1.1 100 Continue\r\n\r\n";
    if (is_encouraged_)
      return;
    is_encouraged_ = true;
    error_code ignored;
    if (boost::beast::iequals(parser_->get()[http::field::expect], "100-continue"))
      socket_.write_some(asio::buffer(text), ignored);
  }

  // -- answering ------------------------------------------------------------------

  exchange new_exchange() {
    using namespace std::chrono;
    auto now = duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
    return {shared_.settings, ++shared_.exchanges, now, {}, {}, {}, {}};
  }

  void answer_request() {
    const auto& request = parser_->get();
    auto x = new_exchange();
    auto target = view(request.target());
    x.method = view(request.method_string());
    x.path = target.substr(0, target.find('?'));
    x.authorization = view(request[http::field::authorization]);
    x.body = request.body();
    keep_alive_ = request.keep_alive();
    is_old_ = request.version() < 11;
    is_head_ = x.method == "HEAD";
    is_counted_ = !is_control(x.path);
    begin_answer(route(x, shared_.book), x.created);
  }

  void refuse(int status, std::string message) {
    auto x = new_exchange();
    keep_alive_ = is_old_ = is_head_ = false;
    is_counted_ = true;
    begin_answer(simulator::refuse(x, status, std::move(message)), x.created);
  }

  void begin_answer(reply answer, int64_t second) {
    reply_ = std::move(answer);
    started_ = clock::now();
    if (is_counted_) {
      const auto& request = parser_->get();
      shared_.book.arrived({started_, reply_.status, reply_.stream != nullptr, reply_.prompt_tokens,
                            reply_.completion_tokens, view(request["x-modelforge-request"]),
                            view(request["x-modelforge-attempt"])});
    }
    parser_.reset();
    state_ = state::answering;
    plan();
    append_head(second);
    if (first_due_ > started_)
      wait_until(first_due_);
    else
      send();
  }

  /// Decides when the first byte goes out, and the time between tokens.
  void plan() {
    using std::chrono::duration_cast;
    using seconds = std::chrono::duration<double>;
    first_due_ = started_;
    interval_ = {};
    if (!reply_.is_paced)
      return;
    const auto& settings = shared_.settings;
    auto jitter = settings.latency_jitter * (2 * random_source(reply_.jitter_seed).unit() - 1);
    seconds latency = seconds(settings.latency) * std::max(0.0, 1 + jitter);
    auto delay = duration_cast<clock::duration>(std::min(latency, longest_wait));
    if (settings.tokens_per_second > 0)
      interval_ = duration_cast<clock::duration>(std::min(seconds(1 / settings.tokens_per_second), longest_wait));
    first_due_ += reply_.stream ? delay : delay + reply_.steps * interval_;
  }

  /// Writes the answer's head, and its body if it is not a stream, into `out_`.
  void append_head(int64_t second) {
    if (shared_.date_second != second) {
      shared_.date = http_date(second);
      shared_.date_second = second;
    }
    auto status = http::obsolete_reason(static_cast<http::status>(reply_.status));
    out_ = "HTTP/1.1 ";
    append_number(out_, static_cast<uint64_t>(reply_.status));
    out_.append(" ").append(view(status)).append("\r\ndate: ").append(shared_.date).append("\r\ncontent-type: ");
    out_.append(reply_.content_type).append("\r\n").append(reply_.headers);
    if (!reply_.timing_header.empty()) {
      out_.append(reply_.timing_header).append(": ");
      auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(first_due_ - started_);
      append_number(out_, static_cast<uint64_t>(wait.count()));
      out_ += "\r\n";
    }
    if (reply_.stream && is_old_) {
      keep_alive_ = false; // the end of the connection is the end of the stream
    } else if (reply_.stream) {
      out_ += "transfer-encoding: chunked\r\n";
    } else {
      out_ += "content-length: ";
      append_number(out_, reply_.body.size());
      out_ += "\r\n";
    }
    if (!keep_alive_)
      out_ += "connection: close\r\n";
    else if (is_old_)
      out_ += "connection: keep-alive\r\n";
    out_ += "\r\n";
    if (!is_head_)
      out_ += reply_.body;
    reply_.body = {};
    reply_.headers = {};
  }

  void wait_until(clock::time_point when) {
    watch();
    timer_.expires_at(when);
    timer_.async_wait([self = shared_from_this()](error_code) {
      if (self->state_ == state::answering)
        self->send();
    });
  }

  void send() {
    if (reply_.stream)
      append_due_tokens();
    if (reply_.stream || out_.size() > write_size)
      watch();
    asio::async_write(socket_, asio::buffer(out_), [self = shared_from_this()](error_code error, std::size_t) {
      if (self->state_ == state::answering)
        self->on_sent(error);
    });
  }

  /// Appends one chunk for each token whose time has come, up to the size of one write.
  void append_due_tokens() {
    if (!is_stream_open_) {
      is_stream_open_ = true;
      if (is_counted_)
        shared_.book.stream_opened();
    }
    auto now = clock::now();
    auto& event = shared_.event;
    do {
      event.clear();
      is_last_ = !reply_.stream->next(event);
      ++sent_steps_;
      append_chunk(event);
    } while (!is_last_ && out_.size() < write_size && next_due() <= now);
    if (is_last_ && !is_old_)
      out_ += "0\r\n\r\n";
  }

  clock::time_point next_due() const { return first_due_ + sent_steps_ * interval_; }

  void append_chunk(std::string_view event) {
    if (is_old_) {
      out_ += event;
      return;
    }
    auto size = hex(event.size(), 8);
    out_.append(size, std::min(size.find_first_not_of('0'), size.size() - 1)).append("\r\n");
    out_.append(event).append("\r\n");
  }

  void on_sent(error_code error) {
    if (error)
      return close(stats_book::outcome::aborted);
    release_if_large(out_);
    if (reply_.stream && !is_last_)
      return next_due() <= clock::now() ? send() : wait_until(next_due());
    end_exchange(stats_book::outcome::answered);
    if (!keep_alive_)
      return linger();
    state_ = state::reading;
    if (!unread_.empty())
      parse_unread();
    if (state_ == state::reading)
      watch();
  }

  /// Books the end of the exchange under way, if there is one, and lets go of what it held.
  void end_exchange(stats_book::outcome how) {
    if (state_ != state::answering)
      return;
    if (is_counted_)
      shared_.book.ended(how, is_stream_open_);
    reply_ = {};
    is_stream_open_ = is_last_ = false;
    sent_steps_ = 0;
  }

  /// Ends our direction and reads on for a while: closing with unread bytes would reset the connection and could take
  /// the answer away from the peer.
  void linger() {
    state_ = state::lingering;
    unread_ = {};
    error_code ignored;
    socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    timer_.expires_after(linger_time);
    timer_.async_wait([self = shared_from_this()](error_code error) {
      if (!error)
        self->close(stats_book::outcome::answered);
    });
    watch();
  }

  hub& shared_;
  asio::ip::tcp::socket socket_;
  asio::steady_timer timer_;               ///< For the next token, or the end of lingering.
  std::unique_ptr<request_parser> parser_; ///< While a request is being read.
  std::string unread_;                     ///< Received and not parsed yet.
  std::string out_;                        ///< Being sent.
  reply reply_;
  clock::time_point started_, first_due_;
  clock::duration interval_{};
  uint64_t sent_steps_ = 0;
  state state_ = state::reading;
  bool is_watching_ = false;
  bool is_encouraged_ = false;
  bool is_counted_ = false;
  bool is_stream_open_ = false;
  bool is_last_ = false; ///< The stream has given its last token.
  bool keep_alive_ = false;
  bool is_old_ = false; ///< HTTP/1.0.
  bool is_head_ = false;
};

void serve(asio::ip::tcp::socket socket, hub& shared) {
  std::make_shared<connection>(std::move(socket), shared)->start();
}

void close_all(hub& shared) {
  auto open = shared.connections; // closing may end connections, which leave the set
  for (auto x : open)
    if (shared.connections.contains(x))
      x->close(stats_book::outcome::stopped);
}

} // namespace modelforge::simulator
