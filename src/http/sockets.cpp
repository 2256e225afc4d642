#include "http/loop.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <linux/tcp.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>

/// The part of the loop that libcurl calls: its sockets, timers and bytes.

namespace modelforge::http {

namespace {

/// How long a resolved address is used.
constexpr std::chrono::seconds address_lifetime{60};

/// Bytes that may come on a connection while the answer under way gets no further. Compressed data and TLS have some of
/// these; endless framing (extensions of chunks, empty pieces of gzip) is nothing else.
constexpr uint64_t most_silent_bytes = 4u << 20;

/// What has come on a connection, ever. 0: the system does not tell.
uint64_t bytes_received(int fd) {
  tcp_info x{};
  socklen_t size = sizeof x;
  return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &x, &size) == 0 ? x.tcpi_bytes_received : 0;
}

/// How far an answer has come.
uint64_t progress_of(const transfer& x) {
  return x.now.received + x.now.head_bytes + x.now.trailer_bytes;
}

/// Tells the connections of one multi handle apart.
uint64_t connection_key(std::string_view there, std::string_view here, int port_there, int port_here) {
  auto ports = static_cast<uint64_t>(static_cast<uint16_t>(port_there)) << 16 | static_cast<uint16_t>(port_here);
  auto hosts = std::hash<std::string_view>{}(there)*31 + std::hash<std::string_view>{}(here);
  return hosts * 0x9e3779b97f4a7c15 + ports;
}

/// Whether a read would tell something: bytes, the end of the connection, or an error.
bool readable(int fd) {
  char ignored = 0;
  return recv(fd, &ignored, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

} // namespace

multi& transport::loop::open_multi(origin* only) {
  auto unused = std::find_if(multis_.begin(), multis_.end(), [](auto& x) { return !x->handle; });
  if (unused == multis_.end()) {
    unused = multis_.insert(unused, std::make_unique<multi>());
    (*unused)->owner = this;
    (*unused)->index = multis_.size() - 1;
  }
  auto& x = **unused;
  x.handle.reset(curl_multi_init());
  x.only = only;
  auto set = [&x](CURLMoption option, auto value) { curl_multi_setopt(x.handle.get(), option, value); };
  set(CURLMOPT_SOCKETFUNCTION, &loop::on_socket);
  set(CURLMOPT_SOCKETDATA, &x);
  set(CURLMOPT_TIMERFUNCTION, &loop::on_timer);
  set(CURLMOPT_TIMERDATA, &x);
  set(CURLMOPT_PIPELINING, only != nullptr ? CURLPIPE_MULTIPLEX : CURLPIPE_NOTHING);
  if (only != nullptr)
    ++only->users;
  count_.multis.fetch_add(1, std::memory_order_relaxed);
  return x;
}

void transport::loop::limit_connections(multi& x) {
  auto most = static_cast<long>(x.active + options_.max_idle_connections);
  curl_multi_setopt(x.handle.get(), CURLMOPT_MAXCONNECTS, most); // libcurl counts those in use, too
}

void transport::loop::run_due() {
  auto now = steady::now();
  for (auto& x : multis_) {
    while (x->due <= now) {
      x->due = steady::time_point::max();
      x->touched = true;
      int running = 0;
      curl_multi_socket_action(x->handle.get(), CURL_SOCKET_TIMEOUT, 0, &running);
    }
    if (x->touched)
      collect(*x);
  }
}

void transport::loop::close_multi(multi& x) {
  if (x.only != nullptr && !x.leaving && x.begun >= x.only->most_begun)
    x.only->note_full_connection();
  x.handle.reset();
  x.due = steady::time_point::max();
  x.begun = 0;
  x.leaving = x.refuses = false;
  if (auto* only = std::exchange(x.only, nullptr); only != nullptr)
    --only->users;
  count_.multis.fetch_sub(1, std::memory_order_relaxed);
}

void transport::loop::close_unused_multis() {
  auto now = steady::now();
  for (auto& x : multis_) {
    if (!x->handle || x->active > 0)
      continue;
    // closes what is too old to be used again; libcurl itself would wait for the next transfer
    if (x->retired() || now - x->last_used >= options_.max_idle_time)
      close_multi(*x);
  }
}

void transport::loop::handle_event(int fd, uint32_t events) {
  if (fd == wake_up_) {
    uint64_t ignored = 0;
    [[maybe_unused]] auto got = read(wake_up_, &ignored, sizeof ignored);
    return;
  }
  auto& x = at(fd);
  if (x.registered == 0)
    return; // closed since the event was fetched
  constexpr uint32_t trouble = EPOLLERR | EPOLLHUP;
  if (x.wanted == 0) {
    if ((events & (EPOLLIN | trouble)) == 0)
      return watch(fd, x, EPOLLIN); // an idle connection can always be written to
    if (!readable(fd))
      return;           // what the event told of has been read since, and the transfer has ended
    set_idle(x, false); // one that the server closed, or a paused one with data
    return watch(fd, x, 0);
  }
  int action = 0;
  if ((x.wanted & EPOLLIN) != 0 && (events & (EPOLLIN | trouble)) != 0)
    action |= CURL_CSELECT_IN;
  if ((x.wanted & EPOLLOUT) != 0 && (events & (EPOLLOUT | trouble)) != 0)
    action |= CURL_CSELECT_OUT;
  auto& in = *x.in;
  auto* user = x.http2 ? nullptr : x.user;
  auto id = user != nullptr ? user->now.id : 0;
  auto before = user != nullptr ? progress_of(*user) : 0;
  in.touched = true;
  int running = 0;
  curl_multi_socket_action(in.handle.get(), fd, action, &running);
  if (user != nullptr)
    judge_silence(fd, *user, id, before);
}

/// Ends an answer whose connection brings much of what is none of it: libcurl takes that in without telling how much.
void transport::loop::judge_silence(int fd, const transfer& user, uint64_t id, uint64_t before) {
  auto& socket = at(fd);
  if (socket.user != &user || user.now.id != id || !user.now.head_given || user.now.paused
      || progress_of(user) != before) {
    socket.silent_from.reset();
    return;
  }
  auto got = bytes_received(fd);
  if (!socket.silent_from)
    socket.silent_from = got;
  if (got - *socket.silent_from <= most_silent_bytes)
    return;
  if (auto found = live_.find(id); found != live_.end() && !found->second->now.ending)
    finish(*found->second,
           fault(user, errc::invalid_response, user.now.at->name + " sends much that is no part of its answer"));
}

watched& transport::loop::at(int fd) {
  auto index = static_cast<std::size_t>(fd);
  if (index >= watched_.size())
    watched_.resize(index + 1);
  return watched_[index];
}

void transport::loop::watch(int fd, watched& x, uint32_t events) {
  if (x.registered == events)
    return;
  epoll_event event{.events = events, .data = {.fd = fd}};
  auto action = events == 0 ? EPOLL_CTL_DEL : x.registered == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  epoll_ctl(epoll_, action, fd, &event);
  x.registered = events;
}

void transport::loop::set_idle(watched& x, bool idle) {
  if (x.idle == idle)
    return;
  x.idle = idle;
  auto& count = x.at->pool(x.in->index).idle;
  idle ? ++count : --count;
}

int transport::loop::on_socket(CURL* easy, curl_socket_t fd, int what, void* in, void*) {
  auto& self = *static_cast<multi*>(in)->owner;
  auto& x = self.at(fd);
  if (what == CURL_POLL_REMOVE) {
    x.wanted = 0;
    if (x.at == nullptr) // libcurl closes it without telling; a connection stays registered for its next transfer
      self.watch(fd, x, 0);
    return 0;
  }
  x.in = static_cast<multi*>(in);
  x.wanted = ((what & CURL_POLL_IN) != 0 ? static_cast<uint32_t>(EPOLLIN) : 0u)
             | ((what & CURL_POLL_OUT) != 0 ? static_cast<uint32_t>(EPOLLOUT) : 0u);
  if (x.wanted != 0)
    self.watch(fd, x, x.wanted);
  if (x.at == nullptr)
    return 0;
  self.set_idle(x, false);
  transfer* user = nullptr;
  if (curl_easy_getinfo(easy, CURLINFO_PRIVATE, &user) == CURLE_OK && user != nullptr) {
    user->now.socket = fd;
    x.user = user;
  }
  return 0;
}

int transport::loop::on_timer(CURLM*, long milliseconds, void* in) {
  auto& x = *static_cast<multi*>(in);
  x.due = milliseconds < 0 ? steady::time_point::max() : steady::now() + std::chrono::milliseconds{milliseconds};
  return 0;
}

curl_socket_t transport::loop::on_open(void* user, curlsocktype, curl_sockaddr* address) {
  auto& x = *static_cast<transfer*>(user);
  auto& self = *x.now.in->owner;
  if (x.now.begun) { // libcurl is about to send the request a second time
    x.now.repeated = true;
    return CURL_SOCKET_BAD;
  }
  x.now.opened_socket = true;
  self.drop_claim(x);
  if (auto& in = *x.now.in; in.only != nullptr && in.only->pool(in.index).http2 > 0)
    in.only->lower_most_sharing(in.active);
  if (x.now.at->resolver == &x) {
    x.now.at->fresh_until = steady::now() + address_lifetime;
    self.give_up_resolving(x);
  }
  auto fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  if (fd < 0) {
    x.now.out_of_files = errno == EMFILE || errno == ENFILE;
    return CURL_SOCKET_BAD;
  }
  auto& entry = self.at(fd);
  entry = {.at = x.now.at, .in = x.now.in, .user = &x};
  ++entry.at->users;
  x.now.socket = fd;
  return fd;
}

int transport::loop::on_close(void* user, curl_socket_t fd) {
  auto& self = *static_cast<loop*>(user);
  auto& x = self.at(fd);
  if (x.at != nullptr) {
    self.set_idle(x, false);
    x.at->pool(x.in->index).http2 -= x.http2;
    --x.at->users;
  }
  x = {};
  return close(fd);
}

int transport::loop::on_note(CURL*, curl_infotype kind, char* text, std::size_t size, void* user) {
  auto& x = *static_cast<transfer*>(user);
  if (kind == CURLINFO_TEXT && x.now.in != nullptr && !x.now.ending)
    if (auto last = x.take_note({text, size}))
      x.now.in->owner->hear_goaway(x, *last);
  return 0;
}

/// The server processes no stream of this connection behind the last one, and takes no more there.
void transport::loop::hear_goaway(transfer& by, uint32_t last_stream) {
  auto& in = *by.now.in;
  auto refused = false;
  auto hear = [&](transfer& x) {
    if (!x.now.begun || x.now.in != &in || x.now.connection != by.now.connection)
      return;
    x.note_last_stream(last_stream);
    refused = refused || x.now.refused;
  };
  if (in.only == nullptr) { // it has the connection to itself
    hear(by);
  } else {
    in.leaving = true;
    for (auto& [id, x] : live_)
      hear(*x);
    if (refused)
      in.only->note_refusal((last_stream + 1) / 2); // streams of ours have odd numbers
  }
  in.refuses = in.refuses || refused;
}

int transport::loop::on_ready(void* user, char* there, char* here, int port_there, int port_here) {
  auto& x = *static_cast<transfer*>(user);
  auto& self = *x.now.in->owner;
  if (x.now.begun) {
    x.now.repeated = true;
    return CURL_PREREQFUNC_ABORT;
  }
  x.now.begun = true;
  x.now.connected = steady::now();
  if (x.asked.http2 && x.now.at->secure) {
    x.now.connection = connection_key(there, here, port_there, port_here);
    curl_easy_setopt(x.easy.get(), CURLOPT_VERBOSE, 1L); // libcurl tells of GOAWAY in no other way
  }
  if (!x.follows_sending())
    x.note_sent(x.now.connected);
  self.count_.connections.fetch_add(x.now.opened_socket, std::memory_order_relaxed);
  self.drop_claim(x);
  self.give_up_resolving(x);
  self.arm(x);
  return CURL_PREREQFUNC_OK;
}

int transport::loop::on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t sent) {
  auto& x = *static_cast<transfer*>(user);
  if (x.now.begun && x.now.sent == steady::time_point{} && static_cast<uint64_t>(sent) >= x.asked.body.size()) {
    x.note_sent(steady::now());
    x.now.in->owner->arm(x);
  }
  return 0;
}

std::size_t transport::loop::on_header(char* data, std::size_t size, std::size_t count, void* user) {
  auto& x = *static_cast<transfer*>(user);
  auto& self = *x.now.in->owner;
  std::string_view line{data, size * count};
  auto before = x.now.first_byte;
  if (x.take_line(line) == verdict::abort)
    return 0;
  if (x.now.head_given)
    self.note_news(x.now.to);
  if (x.now.first_byte != before) {
    self.note_version(x, line.starts_with("HTTP/2"));
    self.arm(x);
  }
  return line.size();
}

std::size_t transport::loop::on_body(char* data, std::size_t size, std::size_t count, void* user) {
  auto& x = *static_cast<transfer*>(user);
  std::string_view piece{data, size * count};
  x.now.in->owner->note_news(x.now.to);
  switch (x.take_data(piece)) {
    case verdict::taken:
      return piece.size();
    case verdict::pause:
      x.now.paused = true;
      x.now.in->owner->count_.paused.fetch_add(1, std::memory_order_relaxed);
      return CURL_WRITEFUNC_PAUSE;
    default:
      return 0;
  }
}

void transport::loop::note_version(transfer& x, bool http2) {
  if (!x.now.at->secure || !x.asked.http2)
    return;
  x.now.at->speaks_http2 = http2;
  if (!http2 || x.now.socket < 0 || x.now.in->only == nullptr) // not shared: used again like any other
    return;
  auto& socket = at(x.now.socket);
  if (socket.at == x.now.at && !socket.http2) {
    socket.http2 = true;
    ++x.now.at->pool(socket.in->index).http2;
  }
}

} // namespace modelforge::http
