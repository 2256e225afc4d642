#include "node/door.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>

namespace modelforge::node {

namespace {

using clock = std::chrono::steady_clock;

/// So many are taken in between two looks at those who wait, so that a crowd at the door keeps none of them waiting.
constexpr int taken_at_once = 16;

/// A record of TLS with a first word in it is at least so long: 5 bytes of head and 17 of seal, of the shortest kind.
constexpr int min_record = 32 + 5 + 17;

std::string text_of(int error) {
  return std::system_category().message(error);
}

/// Whom a connection is put down to: an address; of IPv6 the 64 bits that one network has.
std::string origin_of(sockaddr_storage address_of_peer, socklen_t size) {
  if (address_of_peer.ss_family == AF_INET6)
    if (auto& address = reinterpret_cast<sockaddr_in6&>(address_of_peer).sin6_addr; !IN6_IS_ADDR_V4MAPPED(&address))
      std::fill(std::begin(address.s6_addr) + 8, std::end(address.s6_addr), 0);
  std::array<char, NI_MAXHOST> host{};
  if (getnameinfo(reinterpret_cast<const sockaddr*>(&address_of_peer), size, host.data(), host.size(), nullptr, 0,
                  NI_NUMERICHOST)
      != 0)
    return {};
  return host.data();
}

int listen_at(const addrinfo& address) {
  auto fd = ::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return -1;
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (::bind(fd, address.ai_addr, address.ai_addrlen) == 0 && ::listen(fd, SOMAXCONN) == 0)
    return fd;
  auto error = errno;
  ::close(fd);
  errno = error;
  return -1;
}

/// Whether somebody waits to be accepted.
bool is_wanted(int listener) {
  pollfd on{listener, POLLIN, 0};
  return ::poll(&on, 1, 0) > 0;
}

void wake_after(int socket, int bytes) {
  setsockopt(socket, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes));
}

} // namespace

/// Somebody who has not come in yet.
struct door::guest {
  std::unique_ptr<node::connection> link;
  std::string origin;
  short events = POLLIN; ///< What it waits for.
  bool shaken = false;
};

// A name may have several addresses; the first that can be listened at is taken, and the last error is the reason if
// none can.
std::variant<std::unique_ptr<door>, std::string> door::open(options options) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (auto error = getaddrinfo(options.at.host.c_str(), std::to_string(options.at.port).c_str(), &hints, &found);
      error != 0)
    return "the name " + options.at.host + " has no address (" + gai_strerror(error) + ")";
  std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> all{found, freeaddrinfo};
  int error = 0;
  for (auto* each = found; each != nullptr; each = each->ai_next) {
    if (auto listener = listen_at(*each); listener >= 0)
      return std::unique_ptr<door>{new door{std::move(options), listener}};
    error = errno;
  }
  switch (error) {
    case EADDRINUSE:
      return "the port is taken";
    case EADDRNOTAVAIL:
      return "the address is not one of this machine's";
    default:
      return text_of(error);
  }
}

door::door(options options, int listener)
  : options_(std::move(options)), listener_(listener), stop_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
    waiting_(options_.waiting) {
  sockaddr_storage bound{};
  socklen_t size = sizeof(bound);
  getsockname(listener_, reinterpret_cast<sockaddr*>(&bound), &size);
  port_ = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(bound).sin6_port
                                            : reinterpret_cast<sockaddr_in&>(bound).sin_port);
  sigset_t every, before; // the host's signals are not for this thread
  sigfillset(&every);
  pthread_sigmask(SIG_SETMASK, &every, &before);
  thread_ = std::thread{[this] { run(); }};
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

door::~door() {
  uint64_t one = 1;
  static_cast<void>(!::write(stop_, &one, sizeof(one)));
  thread_.join();
  guests_.clear();
  ::close(listener_);
  ::close(stop_);
}

// Waits for whatever comes first: the end, somebody at the port, one of the guests saying something, or a guest's time
// being up. What cannot be waited for (more descriptors than `poll` takes) costs a guest, never the loop.
void door::run() {
  std::vector<pollfd> on;
  std::vector<waiting_room::guest_id> who;
  for (;;) {
    auto now = clock::now();
    while (auto late = waiting_.overdue(now))
      guests_.erase(*late);
    on.assign({{stop_, POLLIN, 0}, {listener_, static_cast<short>(now < closed_until_ ? 0 : POLLIN), 0}});
    who.clear();
    for (auto& [id, guest] : guests_) {
      on.push_back({guest->link->socket(), guest->events, 0});
      who.push_back(id);
    }
    auto next = waiting_.wake_at();
    if (now < closed_until_ && (!next || closed_until_ < *next))
      next = closed_until_;
    auto left = next ? std::chrono::ceil<std::chrono::milliseconds>(*next - now).count() : -1;
    if (::poll(on.data(), on.size(), static_cast<int>(std::min<long long>(left, 60'000))) < 0) {
      if (errno == EINTR)
        continue;
      if (auto victim = waiting_.evict()) // more than poll, or the machine, can take
        guests_.erase(*victim);
      std::this_thread::sleep_for(std::chrono::milliseconds{10});
      continue;
    }
    if (on[0].revents != 0)
      return;
    for (std::size_t i = 0; i < who.size(); ++i) {
      auto found = guests_.find(who[i]);
      if (on[i + 2].revents != 0 && !welcome(*found->second)) {
        waiting_.leave(found->first);
        guests_.erase(found);
      }
    }
    if (on[1].revents != 0)
      accept_some();
  }
}

// Takes in who stands at the port. Without a free descriptor one has to go for the new one; if there is nobody who
// could, the port is left alone for a moment, for `poll` would report it at once again.
void door::accept_some() {
  for (int i = 0; i < taken_at_once; ++i) {
    sockaddr_storage origin{};
    socklen_t size = sizeof(origin);
    auto fd = ::accept4(listener_, reinterpret_cast<sockaddr*>(&origin), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EINTR || errno == ECONNABORTED)
        continue;
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        if (!is_wanted(listener_)) // accept looks for a descriptor first, and then whether there is anybody
          return;
        if (auto victim = waiting_.evict()) {
          guests_.erase(*victim);
          continue;
        }
        closed_until_ = clock::now() + std::chrono::milliseconds{100};
      }
      return;
    }
    auto now = clock::now();
    auto made = std::make_unique<guest>();
    made->origin = origin_of(origin, size);
    made->link = std::make_unique<connection>(fd, options_.tls != nullptr ? options_.tls->context(now) : nullptr,
                                              connection::side::accepts);
    if (options_.tls == nullptr) {
      made->shaken = true;
      wake_after(fd, static_cast<int>(first_word{}.size()));
    }
    auto id = ++last_;
    if (auto victim = waiting_.enter(id, made->origin, now))
      guests_.erase(*victim);
    guests_.emplace(id, std::move(made));
  }
}

/// Goes on with somebody who has said something. False: they are done with, let in or not.
bool door::welcome(guest& guest) {
  if (!guest.shaken) {
    switch (guest.link->shake_hands()) {
      case connection::state::wants_read:
        guest.events = POLLIN;
        return true;
      case connection::state::wants_write:
        guest.events = POLLOUT;
        return true;
      case connection::state::closed:
        if (auto& why = guest.link->problem();
            options_.on_refused && why != connection::left) // who only looks whether the port is open
          options_.on_refused(guest.origin, why);
        return false;
      case connection::state::done:
        guest.shaken = true;
        guest.events = POLLIN;
        wake_after(guest.link->socket(), min_record);
        return true; // poll says when so much is there
    }
  }
  std::array<unsigned char, min_record> bytes{};
  auto wanted = options_.tls != nullptr ? bytes.size() : first_word{}.size();
  auto count = ::recv(guest.link->socket(), bytes.data(), wanted, MSG_PEEK);
  if (count < 0)
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
  if (static_cast<std::size_t>(count) < wanted)
    return false; // only at its end are we woken so early
  if (options_.tls == nullptr) {
    first_word word;
    std::copy_n(bytes.begin(), word.size(), word.begin());
    if (!options_.is_node(word))
      return false;
  }
  wake_after(guest.link->socket(), 1);
  options_.let_in(std::move(guest.link));
  return false;
}

} // namespace modelforge::node
