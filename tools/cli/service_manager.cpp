#include "tools/cli/service_manager.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <ctime>

namespace modelforge::cli {

namespace {

/// A manager that takes nothing for so long loses the message.
constexpr timeval max_send_time{1, 0};

std::optional<uint64_t> number_in(const std::optional<std::string>& text) {
  uint64_t value = 0;
  if (!text)
    return {};
  auto [stop, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  return error == std::errc{} && stop == text->data() + text->size() ? std::optional{value} : std::nullopt;
}

/// Half of WATCHDOG_USEC, where it is meant for this process: a child inherits the variables of its parent.
std::optional<std::chrono::nanoseconds> watchdog_pause(const environment& env) {
  auto whose = env("WATCHDOG_PID");
  if (whose && number_in(whose) != static_cast<uint64_t>(getpid()))
    return {};
  auto timeout = number_in(env("WATCHDOG_USEC"));
  constexpr uint64_t day = 86'400'000'000;
  if (!timeout || *timeout == 0)
    return {};
  return std::chrono::microseconds{std::min(*timeout, day) / 2};
}

/// As systemd compares it with its own clock.
int64_t monotonic_microseconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1'000;
}

} // namespace

service_manager::service_manager(const environment& env) : address_(env("NOTIFY_SOCKET").value_or("")) {
  if (address_.empty())
    return;
  if ((address_[0] != '/' && address_[0] != '@') || address_.size() >= sizeof(sockaddr_un::sun_path)) {
    problem_ = "NOTIFY_SOCKET is neither a path nor an abstract socket: " + address_;
    return;
  }
  if (address_[0] == '@')
    address_[0] = '\0';
  socket_ = base::file{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  if (socket_.get() < 0) {
    problem_ = std::string{"no socket for NOTIFY_SOCKET: "} + std::strerror(errno);
    return;
  }
  setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &max_send_time, sizeof(max_send_time));
  watchdog_pause_ = watchdog_pause(env);
}

void service_manager::ready() {
  send("READY=1");
}

// The time is what Type=notify-reload (systemd 253) compares with that of its signal; others pass over it.
void service_manager::reloading() {
  send("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(monotonic_microseconds()));
}

void service_manager::stopping(std::chrono::nanoseconds max_time) {
  auto time = std::chrono::duration_cast<std::chrono::microseconds>(max_time).count();
  send("STOPPING=1\nEXTEND_TIMEOUT_USEC=" + std::to_string(time));
}

void service_manager::status(std::string_view line) {
  if (line == status_)
    return;
  status_ = line;
  std::string text{line};
  std::replace_if(
    text.begin(), text.end(), [](unsigned char c) { return c < ' '; },
    ' '); // a line break would begin another variable
  send("STATUS=" + text);
}

void service_manager::alive(time_point now) {
  if (!watchdog_pause_ || (alive_at_ && now - *alive_at_ < *watchdog_pause_))
    return;
  alive_at_ = now;
  send("WATCHDOG=1");
}

void service_manager::send(std::string_view message) {
  if (socket_.get() < 0)
    return;
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, address_.data(), address_.size());
  auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  if (::sendto(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&to), size) < 0)
    problem_ = std::string{"the service manager does not take messages at NOTIFY_SOCKET: "} + std::strerror(errno);
  else
    problem_.clear();
}

} // namespace modelforge::cli
