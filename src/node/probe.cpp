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
  address target;
  std::shared_ptr<credentials> tls;
  std::chrono::milliseconds timeout;
  std::mutex mutex;
  std::function<void(result)> done; ///< Guarded by `mutex`; null when nobody is interested any more.
  int stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

  ~shared() { close(stop); }
};

namespace {

std::string text_of(int error) {
  return std::system_category().message(error);
}

using time_point = std::chrono::steady_clock::time_point;

/// Until the socket is ready for `events`. 0: it is; else why not.
int wait_for(int socket, short events, time_point until, int stop) {
  for (;;) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0)
      return ETIMEDOUT;
    std::array<pollfd, 2> on = {{{socket, events, 0}, {stop, POLLIN, 0}}};
    if (poll(on.data(), on.size(), static_cast<int>(left.count())) < 0 && errno != EINTR)
      return errno;
    if (on[1].revents != 0)
      return ECANCELED;
    if (on[0].revents != 0)
      return 0;
  }
}

/// 0: `socket` is connected; else why not.
int try_to_connect(int socket, const addrinfo& peer, time_point until, int stop) {
  if (connect(socket, peer.ai_addr, peer.ai_addrlen) == 0)
    return 0;
  if (errno != EINPROGRESS)
    return errno;
  if (auto error = wait_for(socket, POLLOUT, until, stop); error != 0)
    return error;
  int error = 0;
  socklen_t size = sizeof(error);
  return getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

std::string shake_hands(connection& peer, time_point until, int stop) {
  for (;;) {
    auto now = peer.shake_hands();
    if (now == connection::state::done)
      return {};
    if (now == connection::state::closed)
      return "something listens there, but TLS failed: " + peer.problem()
             + "; it must be a node with a certificate of the same authority (`ca` in [node.tls])";
    if (auto error = wait_for(peer.socket(), now == connection::state::wants_read ? POLLIN : POLLOUT, until, stop);
        error != 0)
      return "something listens there, but does not answer to TLS: " + text_of(error)
             + "; is it a node, and does it use TLS as this one does?";
  }
}

/// Tries the addresses of a name one after the other, until one takes the connection; what it then says to TLS counts.
probe::result look(const address& target, const std::shared_ptr<credentials>& tls, std::chrono::milliseconds timeout,
                   int stop) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (auto error = getaddrinfo(target.host.c_str(), std::to_string(target.port).c_str(), &hints, &found); error != 0)
    return {"the name " + target.host + " has no address (" + gai_strerror(error) + ")", {}};
  std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> all{found, freeaddrinfo};
  auto until = std::chrono::steady_clock::now() + timeout;
  int error = 0;
  for (auto* each = found; each != nullptr; each = each->ai_next) {
    auto fd = socket(each->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
      error = errno;
      continue;
    }
    auto made = std::make_shared<connection>(fd, tls ? tls->context(std::chrono::steady_clock::now()) : nullptr,
                                             connection::side::connects);
    error = try_to_connect(fd, *each, until, stop);
    if (error == ECANCELED)
      break;
    if (error == 0) {
      auto problem = shake_hands(*made, until, stop);
      return {problem, problem.empty() ? made : nullptr};
    }
  }
  return {"no connection: " + text_of(error), {}};
}

} // namespace

// The thread is detached, because `getaddrinfo` cannot be interrupted: it outlives the probe with its own share of the
// state and finds that nobody is interested any more.
probe::probe(address target, std::shared_ptr<credentials> tls, std::chrono::milliseconds timeout,
             std::function<void(result)> done)
  : shared_(std::make_shared<shared>()) {
  shared_->target = std::move(target);
  shared_->tls = std::move(tls);
  shared_->timeout = timeout;
  shared_->done = std::move(done);
  sigset_t all, before; // the host's signals are not for this thread
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  auto end = [](shared& state, result found) {
    std::lock_guard guard{state.mutex};
    if (state.done)
      std::exchange(state.done, nullptr)(std::move(found));
  };
  try {
    std::thread{[end, state = shared_] {
      end(*state, look(state->target, state->tls, state->timeout, state->stop));
    }}.detach();
  } catch (const std::system_error& problem) {
    end(*shared_, {std::string{"there is no free thread to connect on: "} + problem.what(), {}});
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

probe::~probe() {
  uint64_t one = 1;
  static_cast<void>(!::write(shared_->stop, &one, sizeof(one)));
  std::lock_guard guard{shared_->mutex};
  shared_->done = nullptr;
}

} // namespace modelforge::node
