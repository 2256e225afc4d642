#include "actors/peer_port.hpp"

#include "actors/peer_screen.hpp"
#include "actors/support/mail.hpp"

#include <caf/actor_system.hpp>
#include <caf/config.hpp>
#include <caf/io/abstract_broker.hpp>
#include <caf/io/basp/header.hpp>
#include <caf/io/basp_broker.hpp>
#include <caf/io/doorman.hpp>
#include <caf/io/middleman.hpp>
#include <caf/io/network/acceptor_impl.hpp>
#include <caf/io/network/default_multiplexer.hpp>
#include <caf/io/network/native_socket.hpp>
#include <caf/io/network/stream_impl.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <deque>
#include <mutex>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace modelforge {

namespace {

namespace basp = caf::io::basp;
namespace network = caf::io::network;

using multiplexer = network::default_multiplexer;
using connection = node::connection;

/// The one loop of sockets that CAF's middleman runs on its thread.
multiplexer& backend_of(caf::actor_system& system) {
  return static_cast<multiplexer&>(system.middleman().backend());
}

/// How a CAF stream reads and writes by one of our connections.
template <class Owner>
struct by_connection {
  network::rw_state read_some(std::size_t& count, network::native_socket, void* buffer, std::size_t size) {
    if (owner->is_cut())
      return network::rw_state::failure;
    auto result = state_of(link->read(buffer, size, count));
    if (count > 0 && count < size)
      owner->show_life();
    return result;
  }

  network::rw_state write_some(std::size_t& count, network::native_socket, const void* bytes, std::size_t size) {
    count = 0;
    if (size == 0)
      return network::rw_state::indeterminate;
    auto state = link->write(bytes, size, count);
    return state == connection::state::wants_write ? network::rw_state::success : state_of(state); // poll tells when
  }

  bool must_read_more(network::native_socket, std::size_t threshold) { return link->pending() >= threshold; }

  static network::rw_state state_of(connection::state state) {
    switch (state) {
      case connection::state::done:
        return network::rw_state::success;
      case connection::state::closed:
        return network::rw_state::failure;
      default:
        return network::rw_state::want_read;
    }
  }

  std::shared_ptr<connection> link;
  Owner* owner;
};

#if CAF_MAJOR_VERSION >= 1
using context_of_io = caf::scheduler;
#else
using context_of_io = caf::execution_unit;
#endif

template <class T>
caf::intrusive_ptr<T> pointer_to(T* value) {
#if CAF_MAJOR_VERSION >= 1
  return {value, caf::add_ref};
#else
  return caf::intrusive_ptr<T>{value};
#endif
}

/// One link to a peer. CAF's own scribe reads a plain socket; this one reads our `connection` (TLS or not) and lets
/// nothing through to the broker that `peer_screen` has not passed. Runs on the middleman's thread. Invariant: the
/// stream is told how many bytes to read next by whoever consumed the last ones, header and payload in turn; `cut` ends
/// this for good.
class scribe final : public caf::io::scribe {
public:
  scribe(multiplexer& backend, std::shared_ptr<connection> connection, uint64_t max_message_bytes)
    : caf::io::scribe(network::conn_hdl_from_socket(connection->socket())), connection_(connection),
      screen_(backend.system().node(), max_message_bytes),
      stream_(backend, connection->socket(), by_connection<scribe>{connection, this}) {
    connection_->disown_socket(); // the stream closes it
  }

  void configure_read(caf::io::receive_policy::config config) override {
    stream_.configure_read(config);
    if (!std::exchange(launched_, true))
      stream_.start(this);
  }

  void ack_writes(bool wanted) override { stream_.ack_writes(wanted); }
  caf::byte_buffer& wr_buf() override { return stream_.wr_buf(); }
  caf::byte_buffer& rd_buf() override { return shows_life_ ? heartbeat_ : stream_.rd_buf(); }
  void flush() override { stream_.flush(pointer_to<network::stream_manager>(this)); }
  void add_to_loop() override { stream_.activate(this); }
  void remove_from_loop() override { stream_.passivate(); }

  void graceful_shutdown() override {
    stream_.graceful_shutdown();
    detach(&stream_.backend(), false);
  }

  /// The label: nobody else asks for it.
  std::string addr() const override {
    std::string result;
    for (auto& name : connection_->names())
      result += name + ' ';
    return result;
  }

  uint16_t port() const override {
    auto port = network::remote_port_of_fd(stream_.fd());
    return port ? *port : uint16_t{0};
  }

  /// Headers and what belongs to them come in turn. The broker sees neither before the whole is known to be harmless.
  bool consume(context_of_io* context, const void* data, std::size_t size) override {
    if (cut_)
      return true;
    auto* bytes = static_cast<const unsigned char*>(data);
    if (expects_payload_)
      return consume_payload(context, data, size);
    if (size != basp::header_size || !screen_.allows_header(bytes))
      return cut();
    auto length = peer_screen::payload_of(bytes);
    if (length == 0)
      return caf::io::scribe::consume(context, data, size);
    std::copy_n(bytes, size, header_.begin());
    expects_payload_ = true;
    return expect(length);
  }

  bool is_cut() const { return cut_; }

  /// CAF counts whole messages as life. A large one may take longer on a slow link than a peer may be silent: while its
  /// bytes come in, the broker is told of a heartbeat now and then.
  void show_life() {
    auto now = std::chrono::steady_clock::now();
    if (!expects_payload_ || now - shown_at_ < life_interval || detached())
      return;
    shown_at_ = now;
    heartbeat_.assign(basp::header_size, {});
    heartbeat_[0] = static_cast<caf::byte_buffer::value_type>(basp::message_type::heartbeat);
    shows_life_ = true;
    caf::io::scribe::consume(&stream_.backend(), heartbeat_.data(), heartbeat_.size());
    shows_life_ = false;
  }

private:
  static constexpr auto life_interval = std::chrono::milliseconds{100};

  bool consume_payload(context_of_io* context, const void* data, std::size_t size) {
    expects_payload_ = false;
    switch (screen_.judge(header_.data(), data, size)) {
      case peer_screen::verdict::passes:
        return pass_on(context, size);
      case peer_screen::verdict::is_dropped:
        return expect(basp::header_size);
      default:
        return cut();
    }
  }

  /// The broker takes a header, asks for what belongs to it and gets it.
  bool pass_on(context_of_io* context, std::size_t size) {
    caf::byte_buffer payload;
    payload.swap(rd_buf());
    auto* header = reinterpret_cast<const caf::byte_buffer::value_type*>(header_.data());
    rd_buf().assign(header, header + header_.size());
    if (!caf::io::scribe::consume(context, rd_buf().data(), header_.size()))
      return false;
    rd_buf().swap(payload);
    return caf::io::scribe::consume(context, rd_buf().data(), size);
  }

  /// Asks for exactly so many bytes next. False: the broker has let go meanwhile.
  bool expect(std::size_t bytes) {
    stream_.configure_read(caf::io::receive_policy::exactly(bytes));
    return !detached();
  }

  /// Ends the link because of what came.
  bool cut() {
    cut_ = true;
    ::shutdown(stream_.fd(), SHUT_RDWR); // the next read ends it in good order
    return true;
  }

  std::shared_ptr<connection> connection_;
  peer_screen screen_;
  bool launched_ = false;
  bool expects_payload_ = false;
  std::array<unsigned char, basp::header_size> header_{}; ///< While what belongs to it comes in.
  bool cut_ = false;
  bool shows_life_ = false;
  caf::byte_buffer heartbeat_;
  std::chrono::steady_clock::time_point shown_at_{};
  network::stream_impl<by_connection<scribe>> stream_;
};

/// Who has come in and is not in CAF's hands yet. A byte in the socket tells that somebody is there.
class hall {
public:
  hall() {
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends_) != 0)
      ends_[0] = ends_[1] = -1;
  }

  ~hall() {
    if (ends_[1] >= 0)
      ::close(ends_[1]);
    if (ends_[0] >= 0 && !given_)
      ::close(ends_[0]);
  }

  hall(const hall&) = delete;
  hall& operator=(const hall&) = delete;

  bool is_open() const { return ends_[0] >= 0; }

  /// For who will close it.
  int give_socket() {
    given_ = true;
    return ends_[0];
  }

  /// Called on the door's thread.
  void enter(std::shared_ptr<connection> connection) {
    std::lock_guard guard{mutex_};
    if (waiting_.empty())
      static_cast<void>(!::send(ends_[1], "x", 1, MSG_NOSIGNAL));
    waiting_.push_back(std::move(connection));
  }

  /// Called on the middleman's thread; null: nobody is left.
  std::shared_ptr<connection> next() {
    std::lock_guard guard{mutex_};
    if (waiting_.empty())
      return nullptr;
    auto result = std::move(waiting_.front());
    waiting_.pop_front();
    char byte;
    if (waiting_.empty())
      static_cast<void>(!::recv(ends_[0], &byte, 1, MSG_DONTWAIT));
    return result;
  }

private:
  int ends_[2];
  bool given_ = false;
  std::mutex mutex_;
  std::deque<std::shared_ptr<connection>> waiting_;
};

/// Takes newcomers out of the hall, on the middleman's thread, and makes a scribe of each. The door itself, which
/// accepts and shakes hands on a thread of its own, is no business of CAF's: so a slow handshake holds nobody up.
class doorman final : public caf::io::doorman {
public:
  doorman(multiplexer& backend, std::shared_ptr<hall> from, int socket, uint16_t port, uint64_t max_message_bytes)
    : caf::io::doorman(network::accept_hdl_from_socket(socket)), hall_(std::move(from)), port_(port),
      max_message_bytes_(max_message_bytes), acceptor_(backend, socket, from_hall{this}) {}

  bool new_connection() override {
    if (detached())
      return false;
    auto& backend = acceptor_.backend();
    auto one = caf::make_counted<scribe>(backend, std::move(next_), max_message_bytes_);
    auto handle = one->hdl();
    parent()->add_scribe(std::move(one));
    return caf::io::doorman::new_connection(&backend, handle);
  }

  void graceful_shutdown() override {
    acceptor_.graceful_shutdown();
    detach(&acceptor_.backend(), false);
  }

  void launch() override { acceptor_.start(this); }
  std::string addr() const override { return {}; }
  uint16_t port() const override { return port_; }
  void add_to_loop() override { acceptor_.activate(this); }
  void remove_from_loop() override { acceptor_.passivate(); }

private:
  struct from_hall {
    bool try_accept(network::native_socket& result, network::native_socket) {
      owner->next_ = owner->hall_->next();
      if (owner->next_ == nullptr)
        return false;
      result = owner->next_->socket();
      return true;
    }

    doorman* owner;
  };

  std::shared_ptr<hall> hall_;
  uint16_t port_;
  uint64_t max_message_bytes_;
  std::shared_ptr<connection> next_;
  network::acceptor_impl<from_hall> acceptor_;
};

} // namespace

caf::actor carrier_of(caf::actor_system& system) {
  return system.middleman().named_broker<caf::io::basp_broker>("BASP");
}

caf::io::scribe_ptr scribe_of(caf::actor_system& system, std::shared_ptr<connection> connection,
                              uint64_t max_message_bytes) {
  return caf::make_counted<scribe>(backend_of(system), std::move(connection), max_message_bytes);
}

std::vector<std::string> names_in(const std::string& label) {
  std::vector<std::string> result;
  for (std::size_t begin = 0, end; (end = label.find(' ', begin)) != label.npos; begin = end + 1)
    result.push_back(label.substr(begin, end - begin));
  return result;
}

// The door listens and shakes hands on threads of its own; a connection that has done so waits in the hall, and a
// socket wakes CAF's doorman, which makes a scribe of it inside the middleman.
std::variant<std::unique_ptr<node::door>, std::string>
publish_at(caf::actor_system& system, node::door::options options, const caf::strong_actor_ptr& whom,
           std::set<std::string> interface, uint64_t max_message_bytes) {
  auto inside = std::make_shared<hall>();
  if (!inside->is_open())
    return "there is no free descriptor";
  options.is_node = [](const node::door::first_word& word) {
    static_assert(std::tuple_size_v<node::door::first_word> == basp::header_size);
    return static_cast<basp::message_type>(word[0]) == basp::message_type::client_handshake
           && peer_screen::payload_of(word.data()) <= max_handshake_bytes;
  };
  options.let_in = [inside](std::unique_ptr<connection> one) { inside->enter(std::move(one)); };
  auto opened = node::door::open(std::move(options));
  if (auto* door = std::get_if<0>(&opened)) {
    auto port = (*door)->port();
    caf::io::doorman_ptr keeper =
      caf::make_counted<doorman>(backend_of(system), inside, inside->give_socket(), port, max_message_bytes);
    tell_from_outside(carrier_of(system), caf::publish_atom_v, std::move(keeper), port, whom, std::move(interface));
  }
  return opened;
}

} // namespace modelforge
