#include "node/probe.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <mutex>
#include <netdb.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>

namespace modelforge::node {

struct probe::shared {
  address to;
  std::chrono::milliseconds most;
  std::mutex mutex;
  std::function<void(result)> done; ///< Guarded by `mutex`; null when nobody is interested any more.
  int stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

  ~shared() { close(stop); }
};

namespace {

std::string text_of(int error) {
  return std::system_category().message(error);
}

class descriptor {
public:
  explicit descriptor(int x) : x_(x) {}
  ~descriptor() {
    if (x_ >= 0)
      close(x_);
  }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  int get() const { return x_; }

private:
  int x_;
};

/// 0: it took the connection; else why not.
int try_to_connect(const addrinfo& to, std::chrono::steady_clock::time_point until, int stop) {
  descriptor socket_of{socket(to.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (socket_of.get() < 0)
    return errno;
  if (connect(socket_of.get(), to.ai_addr, to.ai_addrlen) == 0)
    return 0;
  if (errno != EINPROGRESS)
    return errno;
  for (;;) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0)
      return ETIMEDOUT;
    std::array<pollfd, 2> on = {{{socket_of.get(), POLLOUT, 0}, {stop, POLLIN, 0}}};
    if (poll(on.data(), on.size(), static_cast<int>(left.count())) < 0 && errno != EINTR)
      return errno;
    if (on[1].revents != 0)
      return ECANCELED;
    if (on[0].revents == 0)
      continue;
    int error = 0;
    socklen_t size = sizeof(error);
    return getsockopt(socket_of.get(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
  }
}

probe::result look(const address& at, std::chrono::milliseconds most, int stop) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (auto error = getaddrinfo(at.host.c_str(), std::to_string(at.port).c_str(), &hints, &found); error != 0)
    return {"the name " + at.host + " has no address (" + gai_strerror(error) + ")", {}};
  std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> all{found, freeaddrinfo};
  auto until = std::chrono::steady_clock::now() + most;
  int error = 0;
  for (auto* x = found; x != nullptr; x = x->ai_next) {
    error = try_to_connect(*x, until, stop);
    if (error == ECANCELED)
      break;
    std::array<char, NI_MAXHOST> host{};
    if (error == 0 && getnameinfo(x->ai_addr, x->ai_addrlen, host.data(), host.size(), nullptr, 0, NI_NUMERICHOST) == 0)
      return {"", {host.data(), at.port}};
  }
  return {"no connection: " + text_of(error), {}};
}

} // namespace

probe::probe(address to, std::chrono::milliseconds most, std::function<void(result)> done)
  : shared_(std::make_shared<shared>()) {
  shared_->to = std::move(to);
  shared_->most = most;
  shared_->done = std::move(done);
  sigset_t all, before; // the host's signals are not for this thread
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread{[x = shared_] {
    auto found = look(x->to, x->most, x->stop);
    std::lock_guard guard{x->mutex};
    if (x->done)
      std::exchange(x->done, nullptr)(std::move(found));
  }}.detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

probe::~probe() {
  uint64_t one = 1;
  static_cast<void>(!::write(shared_->stop, &one, sizeof(one)));
  std::lock_guard guard{shared_->mutex};
  shared_->done = nullptr;
}

} // namespace modelforge::node
