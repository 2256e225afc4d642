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

/// Views Beast's own kind of string view as the standard's.
std::string_view view(boost::beast::string_view text) {
  return {text.data(), text.size()};
}

/// Empties a buffer and gives large memory back, so that thousands of idle connections stay small.
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
  /// Counts itself in; `start` must follow, once a shared pointer holds it.
  connection(asio::ip::tcp::socket socket, hub& shared)
    : shared_(shared), socket_(std::move(socket)), timer_(socket_.get_executor()) {
    shared_.connections.insert(this);
    shared_.book.connected();
  }

  ~connection() {
    shared_.connections.erase(this);
    shared_.book.disconnected();
  }

  /// Sets the socket up and waits for the first request.
  void start() {
    error_code ignored;
    socket_.non_blocking(true, ignored);
    socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
    if (auto size = shared_.settings.send_buffer; size > 0)
      socket_.set_option(asio::socket_base::send_buffer_size(static_cast<int>(size)), ignored);
    watch();
  }

  /// Ends the connection; what is being answered ends with `how`.
  void close(stats_book::outcome result) {
    auto self = shared_from_this(); // which a request that waits may be the last to hold
    end_exchange(result);
    state_ = state::closed;
    error_code ignored;
    timer_.cancel();
    socket_.close(ignored);
  }

private:
  /// What the connection does: `lingering` reads and discards after the last answer.
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

  /// Waits until the socket is readable, unless it waits already. While an answer is under way it stops reading ahead
  /// at `pipeline_size`, so that a client that pipelines without reading cannot fill the memory.
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

  /// Reads what is there, once, into the shared buffer; the rest waits for the next turn of the event loop.
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

  /// Parses what arrived while the answer before was being sent.
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

  /// Makes a parser with the limits that hold now; a request keeps them to its end.
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

  /// Numbers the request and notes when it arrived; the headers that identify an attempt are set even for bad ones.
  exchange new_exchange() {
    using namespace std::chrono;
    const auto& request = parser_->get();
    auto now = duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
    request_.arrived = clock::now();
    exchange incoming{shared_.settings, shared_.gate, shared_.cache, request_.arrived, ++shared_.exchanges, now};
    incoming.request_id = view(request["x-modelforge-request"]);
    incoming.attempt = view(request["x-modelforge-attempt"]);
    return incoming;
  }

  /// Hands the whole request to the router. The parser must live until it has answered: the exchange views it.
  void answer_request() {
    const auto& request = parser_->get();
    auto incoming = new_exchange();
    auto target = view(request.target());
    incoming.method = view(request.method_string());
    incoming.path = target.substr(0, target.find('?'));
    incoming.query = target.substr(std::min(incoming.path.size() + 1, target.size()));
    incoming.authorization = view(request[http::field::authorization]);
    incoming.api_key = view(request["api-key"]);
    incoming.x_api_key = view(request["x-api-key"]);
    incoming.x_goog_api_key = view(request["x-goog-api-key"]);
    incoming.anthropic_version = view(request["anthropic-version"]);
    incoming.content_type = view(request[http::field::content_type]);
    incoming.host = view(request[http::field::host]);
    incoming.body = request.body();
    request_.frame = {request.keep_alive(), request.version() < 11, incoming.method == "HEAD"};
    request_.is_counted = !is_control(incoming.path);
    begin_answer(incoming, route(incoming, shared_));
  }

  /// Answers a request that could not be parsed and closes the connection, since what follows is unknown.
  void refuse(int status, std::string message) {
    auto incoming = new_exchange();
    request_.frame = {};
    request_.is_counted = true;
    begin_answer(incoming, simulator::refuse(incoming, status, std::move(message)));
  }

  /// Counts the request and queues its answer: errors go out at once, paced answers when a slot is free, and with
  /// status 0 nothing is ever sent.
  void begin_answer(const exchange& incoming, reply answer) {
    reply_ = std::move(answer);
    if (request_.is_counted)
      shared_.book.arrived(incoming, reply_);
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

  /// It is this request's turn. `self` keeps the connection alive, since `waiting_` may be its last owner.
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

  /// Calls `next` when that time has come, unless the exchange has ended by then.
  void wait_until(clock::time_point due, void (connection::*next)()) {
    watch();
    timer_.expires_at(due);
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

  /// Counts the stream as open from its first byte.
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

  /// A write, or one packet of it, was handed to the system.
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

  /// Waits until the stream is due again. One that stalls waits for its peer to give up.
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
  void end_exchange(stats_book::outcome result) {
    if (state_ != state::answering)
      return;
    if (request_.is_counted)
      shared_.book.ended(result, stream_ || reply_.stream, is_stream_open_);
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

// The connection owns itself from here on, through the handlers that it waits with.
void serve(asio::ip::tcp::socket socket, hub& shared) {
  std::make_shared<connection>(std::move(socket), shared)->start();
}

void close_all(hub& shared) {
  auto open = shared.connections; // closing may end connections, which leave the set
  for (auto client : open)
    if (shared.connections.contains(client))
      client->close(stats_book::outcome::stopped);
}

} // namespace modelforge::simulator
