#include "http/loop.hpp"

#include <sys/socket.h>

#include <linux/tcp.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cerrno>
#include <functional>

/// The part of the loop that libcurl calls, and that calls libcurl: sockets, times and bytes.

namespace modelforge::http {

namespace {

/// How long a resolved address is used.
constexpr std::chrono::seconds address_lifetime{60};

/// Bytes that may come on a connection while the answer under way gets no further. Compressed data and TLS have some of
/// these; endless framing (extensions of chunks, empty pieces of gzip) is nothing else.
constexpr uint64_t max_silent_bytes = 4u << 20;

/// What has come on a connection, ever. 0: the system does not say.
uint64_t bytes_received(int descriptor) {
  tcp_info info{};
  socklen_t size = sizeof info;
  return getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_bytes_received : 0;
}

/// How far an answer has come.
uint64_t progress_of(const transfer& transfer) {
  return transfer.state.received + transfer.state.head_bytes + transfer.state.trailer_bytes;
}

/// Distinguishes the connections of one multi handle.
uint64_t connection_key(std::string_view remote_host, std::string_view local_host, int remote_port, int local_port) {
  auto ports = static_cast<uint64_t>(static_cast<uint16_t>(remote_port)) << 16 | static_cast<uint16_t>(local_port);
  auto hosts = std::hash<std::string_view>{}(remote_host)*31 + std::hash<std::string_view>{}(local_host);
  return hosts * 0x9e3779b97f4a7c15 + ports;
}

/// Whether a read would bring something: bytes, the end of the connection, or an error.
bool readable(int descriptor) {
  char ignored = 0;
  return recv(descriptor, &ignored, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

transfer& transfer_of(void* user) {
  return *static_cast<transfer*>(user);
}

} // namespace

// -- calling libcurl --------------------------------------------------------------------

// libcurl asks for calls at certain times: for connecting, for what it could not finish, for its own timeouts. One call
// may ask for the next at once.
void transport::loop::run_due() {
  auto now = steady::now();
  for (auto& multi : multis_) {
    while (multi->due <= now) {
      multi->due = steady::time_point::max();
      multi->touched = true;
      int running = 0;
      curl_multi_socket_action(multi->handle.get(), CURL_SOCKET_TIMEOUT, 0, &running);
    }
    if (multi->touched)
      collect(*multi);
  }
}

// epoll reports a descriptor. libcurl wants to know only of those whose transfers wait for something (`wanted`); an
// idle connection stays registered, to save a call each time it is used again, and its events are looked at here:
// readable means that the server has closed it.
void transport::loop::on_event(int descriptor, uint32_t events) {
  auto& entry = poller_.at(descriptor);
  if (entry.registered == 0)
    return; // closed since the event was fetched
  constexpr uint32_t trouble = EPOLLERR | EPOLLHUP;
  if (entry.wanted == 0) {
    if ((events & (EPOLLIN | trouble)) == 0)
      return poller_.watch(descriptor, entry, EPOLLIN); // an idle connection can always be written to
    if (!readable(descriptor))
      return;              // what the event announced has been read since, and the transfer has ended
    entry.set_idle(false); // one that the server closed, or a paused one with data
    return poller_.watch(descriptor, entry, 0);
  }
  int action = 0;
  if ((entry.wanted & EPOLLIN) != 0 && (events & (EPOLLIN | trouble)) != 0)
    action |= CURL_CSELECT_IN;
  if ((entry.wanted & EPOLLOUT) != 0 && (events & (EPOLLOUT | trouble)) != 0)
    action |= CURL_CSELECT_OUT;
  auto& multi = *entry.multi;
  auto* user = entry.http2 ? nullptr : entry.user;
  auto id = user != nullptr ? user->state.id : 0;
  auto progress_before = user != nullptr ? progress_of(*user) : 0;
  multi.touched = true;
  int running = 0;
  curl_multi_socket_action(multi.handle.get(), descriptor, action, &running); // may add descriptors: `entry` is gone
  if (user != nullptr)
    judge_silence(descriptor, *user, id, progress_before);
}

/// Ends an answer whose connection brings much that is not part of it: libcurl takes that in without saying how much.
void transport::loop::judge_silence(int descriptor, const transfer& user, uint64_t id, uint64_t progress_before) {
  auto& socket = poller_.at(descriptor);
  if (socket.user != &user || user.state.id != id || !user.state.head_given || user.state.paused
      || progress_of(user) != progress_before) {
    socket.silent_from.reset();
    return;
  }
  auto received = bytes_received(descriptor);
  if (!socket.silent_from)
    socket.silent_from = received;
  if (received - *socket.silent_from <= max_silent_bytes)
    return;
  if (auto found = live_.find(id); found != live_.end() && !found->second->state.ending)
    finish(*found->second, error_of(user, errc::invalid_response,
                                    user.state.origin->name + " sends too much that is not part of its answer"));
}

/// The server processes no stream of this connection behind the last one, and takes no more there. `witness` is the
/// transfer by whose notes we know.
void transport::loop::on_goaway(transfer& witness, uint32_t last_stream) {
  auto& multi = *witness.state.multi;
  auto any_refused = false;
  auto judge = [&](transfer& transfer) {
    if (!transfer.state.begun || transfer.state.multi != &multi
        || transfer.state.connection != witness.state.connection)
      return;
    transfer.note_last_stream(last_stream);
    any_refused = any_refused || transfer.state.refused;
  };
  if (multi.only == nullptr) { // it has the connection to itself
    judge(witness);
  } else {
    multi.leaving = true;
    for (auto& [id, transfer] : live_)
      judge(*transfer);
    if (any_refused)
      multi.only->note_refusal((last_stream + 1) / 2); // streams of ours have odd numbers
  }
  multi.refuses = multi.refuses || any_refused;
}

/// Ends what the server has refused: libcurl would try some of these again, and others it would wait for.
void transport::loop::end_refused(multi& multi) {
  multi.refuses = false;
  std::vector<transfer*> refused;
  for (auto& [id, transfer] : live_)
    if (transfer->state.multi == &multi && transfer->state.refused && !transfer->state.any_byte)
      refused.push_back(transfer.get());
  for (auto* transfer : refused)
    finish(*transfer, refused_error(*transfer));
}

// -- called by libcurl --------------------------------------------------------------------

void transport::loop::connect_callbacks(transfer& transfer, loop& owner) {
  auto* user = &transfer;
  auto set = [&transfer](CURLoption option, auto value) { curl_easy_setopt(transfer.easy.get(), option, value); };
  set(CURLOPT_OPENSOCKETFUNCTION, &loop::on_open);
  set(CURLOPT_OPENSOCKETDATA, user);
  set(CURLOPT_CLOSESOCKETFUNCTION, &loop::on_close);
  set(CURLOPT_CLOSESOCKETDATA, &owner); // connections outlive transfers
  set(CURLOPT_PREREQFUNCTION, &loop::on_ready);
  set(CURLOPT_PREREQDATA, user);
  set(CURLOPT_XFERINFOFUNCTION, &loop::on_progress);
  set(CURLOPT_XFERINFODATA, user);
  set(CURLOPT_DEBUGFUNCTION, &loop::on_note);
  set(CURLOPT_DEBUGDATA, user);
  set(CURLOPT_HEADERFUNCTION, &loop::on_header);
  set(CURLOPT_HEADERDATA, user);
  set(CURLOPT_WRITEFUNCTION, &loop::on_body);
  set(CURLOPT_WRITEDATA, user);
}

/// libcurl says which events it waits for.
int transport::loop::on_socket(CURL* easy, curl_socket_t descriptor, int action, void* user, void*) {
  auto& multi = *static_cast<http::multi*>(user);
  auto& self = *multi.owner;
  auto& entry = self.poller_.at(descriptor);
  if (action == CURL_POLL_REMOVE) {
    entry.wanted = 0;
    if (entry.origin
        == nullptr) // libcurl closes it without a word; a connection stays registered for its next transfer
      self.poller_.watch(descriptor, entry, 0);
    return 0;
  }
  entry.multi = &multi;
  entry.wanted = ((action & CURL_POLL_IN) != 0 ? static_cast<uint32_t>(EPOLLIN) : 0u)
                 | ((action & CURL_POLL_OUT) != 0 ? static_cast<uint32_t>(EPOLLOUT) : 0u);
  if (entry.wanted != 0)
    self.poller_.watch(descriptor, entry, entry.wanted);
  if (entry.origin == nullptr)
    return 0;
  entry.set_idle(false);
  transfer* newest = nullptr;
  if (curl_easy_getinfo(easy, CURLINFO_PRIVATE, &newest) == CURLE_OK && newest != nullptr) {
    newest->state.socket = descriptor;
    entry.user = newest;
  }
  return 0;
}

/// libcurl wants a new connection. A transfer that has begun gets none: it would be sent a second time.
curl_socket_t transport::loop::on_open(void* user, curlsocktype, curl_sockaddr* address) {
  auto& transfer = transfer_of(user);
  auto& state = transfer.state;
  auto& self = *state.multi->owner;
  if (state.begun) {
    state.repeated = true;
    return CURL_SOCKET_BAD;
  }
  state.opened_socket = true;
  multi_handles::drop_claim(transfer);
  if (auto& multi = *state.multi; multi.only != nullptr && multi.only->pool(multi.index).http2 > 0)
    multi.only->lower_max_sharing(multi.active);
  if (state.origin->resolver == &transfer) {
    state.origin->fresh_until = steady::now() + address_lifetime;
    self.origins_.give_up_resolving(transfer);
  }
  auto descriptor = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  if (descriptor < 0) {
    state.out_of_files = errno == EMFILE || errno == ENFILE;
    return CURL_SOCKET_BAD;
  }
  auto& entry = self.poller_.at(descriptor);
  entry = {.origin = state.origin, .multi = state.multi, .user = &transfer};
  ++entry.origin->users;
  state.socket = descriptor;
  return descriptor;
}

/// libcurl has given up a connection, perhaps long after its last transfer; the count of its pool goes with it.
int transport::loop::on_close(void* user, curl_socket_t descriptor) {
  auto& entry = static_cast<loop*>(user)->poller_.at(descriptor);
  if (entry.origin != nullptr) {
    entry.set_idle(false);
    entry.pool().http2 -= entry.http2;
    --entry.origin->users;
  }
  entry = {};
  return close(descriptor);
}

/// libcurl's notes, which are asked for once a request goes out by HTTP/2: the only way to learn of GOAWAY. And the
/// bytes of a compressed body.
int transport::loop::on_note(CURL*, curl_infotype kind, char* text, std::size_t size, void* user) {
  auto& transfer = transfer_of(user);
  if (kind == CURLINFO_DATA_IN && transfer.state.compressed.is_watching())
    transfer.state.compressed.take({text, size});
  if (kind == CURLINFO_TEXT && transfer.state.multi != nullptr && !transfer.state.ending)
    if (auto last_stream = transfer.take_note({text, size}))
      transfer.state.multi->owner->on_goaway(transfer, *last_stream);
  return 0;
}

/// There is a connection, new or kept, and the request goes out next.
int transport::loop::on_ready(void* user, char* remote_host, char* local_host, int remote_port, int local_port) {
  auto& transfer = transfer_of(user);
  auto& state = transfer.state;
  auto& self = *state.multi->owner;
  if (state.begun) {
    state.repeated = true;
    return CURL_PREREQFUNC_ABORT;
  }
  state.begun = true;
  state.connected = steady::now();
  if (transfer.request.http2 && state.origin->secure) {
    state.connection = connection_key(remote_host, local_host, remote_port, local_port);
    curl_easy_setopt(transfer.easy.get(), CURLOPT_VERBOSE, 1L); // libcurl reports GOAWAY in no other way
  }
  if (!transfer.follows_sending())
    transfer.note_sent(state.connected);
  self.counters_.connections.fetch_add(state.opened_socket, std::memory_order_relaxed);
  multi_handles::drop_claim(transfer);
  self.origins_.give_up_resolving(transfer);
  self.deadlines_.arm(transfer);
  return CURL_PREREQFUNC_OK;
}

/// A large body goes out in parts; the last one starts the wait for the first byte.
int transport::loop::on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t sent) {
  auto& transfer = transfer_of(user);
  if (transfer.state.begun && transfer.state.sent == steady::time_point{}
      && static_cast<uint64_t>(sent) >= transfer.request.content().size()) {
    transfer.note_sent(steady::now());
    transfer.state.multi->owner->deadlines_.arm(transfer);
  }
  return 0;
}

/// A line of a head or a trailer. The first one of the final answer ends the wait for the first byte.
std::size_t transport::loop::on_header(char* data, std::size_t size, std::size_t count, void* user) {
  auto& transfer = transfer_of(user);
  auto& self = *transfer.state.multi->owner;
  std::string_view line{data, size * count};
  auto first_byte_before = transfer.state.first_byte;
  if (transfer.take_line(line) == verdict::abort)
    return 0;
  if (transfer.state.head_given)
    self.flush_later(transfer.state.receiver);
  if (transfer.state.first_byte != first_byte_before) {
    self.on_version(transfer, line.starts_with("HTTP/2"));
    self.deadlines_.arm(transfer);
  }
  return line.size();
}

/// A piece of the decoded body.
std::size_t transport::loop::on_body(char* data, std::size_t size, std::size_t count, void* user) {
  auto& transfer = transfer_of(user);
  auto& self = *transfer.state.multi->owner;
  std::string_view piece{data, size * count};
  self.flush_later(transfer.state.receiver);
  switch (transfer.take_data(piece)) {
    case verdict::taken:
      return piece.size();
    case verdict::pause:
      transfer.state.paused = true;
      self.counters_.paused.fetch_add(1, std::memory_order_relaxed);
      return CURL_WRITEFUNC_PAUSE;
    default:
      return 0;
  }
}

/// An answer has begun, and shows which version of HTTP the server speaks.
void transport::loop::on_version(transfer& transfer, bool is_http2) {
  auto& state = transfer.state;
  if (!state.origin->secure || !transfer.request.http2)
    return;
  state.origin->speaks_http2 = is_http2;
  if (!is_http2 || state.socket < 0 || state.multi->only == nullptr) // not shared: used again like any other
    return;
  auto& socket = poller_.at(state.socket);
  if (socket.origin == state.origin && !socket.http2) {
    socket.http2 = true;
    ++socket.pool().http2;
  }
}

} // namespace modelforge::http
