#include "tools/simulator/connection.hpp"

#include "tools/simulator/exchange.hpp"
#include "tools/simulator/framing.hpp"
#include "tools/simulator/outgoing_stream.hpp"
#include "tools/simulator/router.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

namespace modelforge::simulator {

namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

constexpr std::size_t pipeline_size = 64u << 10; ///< Bytes read ahead while an answer is under way.
constexpr std::size_t kept_capacity = 4u << 10;  ///< A larger buffer is freed between uses.
constexpr auto linger_time = std::chrono::seconds(2);
constexpr auto packet_pause = std::chrono::microseconds(200); ///< Lets the peer read a packet before the next comes.

std::string_view view(boost::beast::string_view x) {
  return {x.data(), x.size()};
}

void release_if_large(std::string& buffer) {
  buffer.clear();
  if (buffer.capacity() > kept_capacity)
    buffer.shrink_to_fit();
}

} // namespace

/// One TCP connection: reads a request, lets the router answer it, sends the answer at its pace, reads the next.
///
/// While an answer waits or is sent the socket is watched for reading, so that a peer that goes away is noticed at
/// once. Every handler holds a shared pointer; the connection ends when nothing is left to wait for.
class connection : public std::enable_shared_from_this<connection>, private slot_queue::user {
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
    if (auto size = shared_.settings.send_buffer; size > 0)
      socket_.set_option(asio::socket_base::send_buffer_size(static_cast<int>(size)), ignored);
    watch();
  }

  /// Ends the connection; what is being answered ends with `how`.
  void close(stats_book::outcome how) {
    auto self = shared_from_this(); // which a request that waits may be the last to hold
    end_exchange(how);
    state_ = state::closed;
    error_code ignored;
    timer_.cancel();
    socket_.close(ignored);
  }

private:
  enum class state : uint8_t { reading, answering, lingering, closed };
  /// What is known of the request that is read or answered.
  struct request_state {
    simulator::frame frame;
    clock::time_point arrived;
    bool is_encouraged = false; ///< The client was told to go on with the body.
    bool is_counted = false;    ///< It is not one to the simulator itself.
  };

  /// What is being sent.
  struct outgoing {
    std::string bytes;
    std::size_t written = 0; ///< Of these.
  };

  using request_parser = http::request_parser<http::string_body>;

  // -- reading ------------------------------------------------------------------

  void watch() {
    if (is_watching_ || state_ == state::closed || (state_ == state::answering && unread_.size() >= pipeline_size))
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
    request_.is_encouraged = false;
  }

  /// Tells a client that waits with its body to send it.
  void encourage() {
    constexpr std::string_view text = "HTTP/1.1 100 Continue\r\n\r\n";
    if (request_.is_encouraged)
      return;
    request_.is_encouraged = true;
    error_code ignored;
    if (boost::beast::iequals(parser_->get()[http::field::expect], "100-continue"))
      socket_.write_some(asio::buffer(text), ignored);
  }

  // -- answering ------------------------------------------------------------------

  exchange new_exchange() {
    using namespace std::chrono;
    const auto& request = parser_->get();
    auto now = duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
    request_.arrived = clock::now();
    exchange x{shared_.settings, shared_.gate, shared_.cache, request_.arrived, ++shared_.exchanges, now};
    x.request_id = view(request["x-modelforge-request"]);
    x.attempt = view(request["x-modelforge-attempt"]);
    return x;
  }

  void answer_request() {
    const auto& request = parser_->get();
    auto x = new_exchange();
    auto target = view(request.target());
    x.method = view(request.method_string());
    x.path = target.substr(0, target.find('?'));
    x.query = target.substr(std::min(x.path.size() + 1, target.size()));
    x.authorization = view(request[http::field::authorization]);
    x.api_key = view(request["api-key"]);
    x.x_api_key = view(request["x-api-key"]);
    x.x_goog_api_key = view(request["x-goog-api-key"]);
    x.anthropic_version = view(request["anthropic-version"]);
    x.content_type = view(request[http::field::content_type]);
    x.host = view(request[http::field::host]);
    x.body = request.body();
    request_.frame = {request.keep_alive(), request.version() < 11, x.method == "HEAD"};
    request_.is_counted = !is_control(x.path);
    begin_answer(x, route(x, shared_));
  }

  void refuse(int status, std::string message) {
    auto x = new_exchange();
    request_.frame = {};
    request_.is_counted = true;
    begin_answer(x, simulator::refuse(x, status, std::move(message)));
  }

  void begin_answer(const exchange& x, reply answer) {
    reply_ = std::move(answer);
    if (request_.is_counted)
      shared_.book.arrived(x, reply_);
    parser_.reset();
    state_ = state::answering;
    if (reply_.decided.effect == fault::reset)
      return reset();
    if (reply_.status != 0 && !reply_.is_paced)
      return begin_service();
    waiting_ = shared_from_this();
    if (reply_.status != 0)
      shared_.slots.enter(*this);
    if (waiting_)
      watch();
  }

  void on_slot() override {
    auto self = std::exchange(waiting_, nullptr);
    begin_service();
  }

  /// Writes the head, and the body if it is not a stream, into `out_.bytes`, to be sent when it is due.
  void begin_service() {
    auto now = clock::now();
    auto rhythm = pace_of(reply_, shared_.settings);
    auto first_due = now + rhythm.first_byte;
    if (reply_.stream && request_.frame.is_old)
      request_.frame.keep_alive = false;
    out_.bytes.clear();
    append_head(out_.bytes, shared_, reply_, request_.frame, first_due - request_.arrived);
    if (reply_.stream)
      stream_.emplace(reply_, request_.frame, shared_.settings, now, first_due, rhythm.interval);
    else if (!request_.frame.is_head)
      out_.bytes.append(reply_.body, 0, breaks_off(reply_.decided.effect) ? reply_.body.size() / 2 : reply_.body.npos);
    reply_.body = {};
    reply_.headers = {};
    auto is_head_first = stream_ && shared_.settings.keep_alive.count() > 0;
    if (first_due > now && !is_head_first)
      wait_until(first_due, &connection::send);
    else
      send();
  }

  void wait_until(clock::time_point when, void (connection::*next)()) {
    watch();
    timer_.expires_at(when);
    timer_.async_wait([self = shared_from_this(), next](error_code error) {
      if (!error && self->state_ == state::answering)
        ((*self).*next)();
    });
  }

  /// Sends what is due.
  void send() {
    auto now = clock::now();
    if (stream_) {
      open_stream();
      stream_->append_due(out_.bytes, shared_.event, now);
    }
    if (!reply_.keep.empty())
      shared_.cache.store(std::exchange(reply_.keep, {}), now);
    count_output(now, stream_ ? stream_->take_tokens() : reply_.completion_tokens);
    if (out_.bytes.empty())
      return go_on(); // it gathers
    if (stream_ || out_.bytes.size() > write_size)
      watch();
    write();
  }

  /// Writes `out_.bytes`, or its next packet.
  void write() {
    auto rest = std::string_view(out_.bytes).substr(out_.written);
    auto size = stream_ ? stream_->packet_size(rest, out_.written == 0) : rest.size();
    asio::async_write(socket_, asio::buffer(rest.data(), size),
                      [self = shared_from_this()](error_code error, std::size_t sent) {
                        if (self->state_ == state::answering)
                          self->on_sent(error, sent);
                      });
  }

  void open_stream() {
    if (!is_stream_open_)
      shared_.book.stream_opened();
    is_stream_open_ = true;
  }

  /// Counts tokens that are sent `now`, if they count.
  void count_output(clock::time_point now, uint64_t tokens) {
    auto& limits = shared_.gate.limits();
    if (tokens == 0 || !limits.counts_output())
      return;
    limits.produce(now, tokens);
    shared_.book.produced(now, tokens);
  }

  void on_sent(error_code error, std::size_t sent) {
    out_.written += sent;
    if (stream_)
      shared_.book.stream_sent(sent);
    if (error)
      return close(stats_book::outcome::aborted);
    if (out_.written < out_.bytes.size())
      return wait_until(clock::now() + packet_pause, &connection::write);
    out_.written = 0;
    release_if_large(out_.bytes);
    go_on();
  }

  /// Does what comes after all that was due.
  void go_on() {
    if (stream_ && stream_->now() == outgoing_stream::state::open)
      return wait_for_stream();
    if (breaks_off(reply_.decided.effect) || (stream_ && stream_->now() == outgoing_stream::state::cut))
      return break_off();
    end_exchange(stats_book::outcome::answered);
    if (!request_.frame.keep_alive)
      return linger();
    state_ = state::reading;
    if (!unread_.empty())
      parse_unread();
    if (state_ == state::reading)
      watch();
  }

  void wait_for_stream() {
    auto due = stream_->next_due();
    if (due <= clock::now())
      return send();
    if (due < clock::time_point::max())
      return wait_until(due, &connection::send);
    waiting_ = shared_from_this();
    watch();
  }

  /// Ends the connection after part of an answer, as its fault wants it.
  void break_off() {
    if (reply_.decided.effect == fault::reset_mid)
      return reset();
    end_exchange(stats_book::outcome::cut);
    linger();
  }

  /// Ends the connection by an RST in the place of a FIN.
  void reset() {
    error_code ignored;
    socket_.set_option(asio::socket_base::linger(true, 0), ignored);
    close(stats_book::outcome::cut);
  }

  /// Books the end of the exchange under way, if there is one, and lets go of what it held.
  void end_exchange(stats_book::outcome how) {
    if (state_ != state::answering)
      return;
    if (request_.is_counted)
      shared_.book.ended(how, stream_ || reply_.stream, is_stream_open_);
    reply_ = {};
    stream_.reset();
    waiting_ = nullptr;
    is_stream_open_ = false;
    out_.written = 0;
    shared_.slots.leave(*this);
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
  asio::steady_timer timer_;               ///< For what is due next, or the end of lingering.
  std::unique_ptr<request_parser> parser_; ///< While a request is being read.
  std::string unread_;                     ///< Received and not parsed yet.
  outgoing out_;
  reply reply_;
  std::optional<outgoing_stream> stream_; ///< Once its service has begun.
  request_state request_;
  std::shared_ptr<connection> waiting_; ///< Itself, while it waits for a slot, or for its peer to give up.
  state state_ = state::reading;
  bool is_watching_ = false;
  bool is_stream_open_ = false;
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
