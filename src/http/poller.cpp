#include "http/poller.hpp"

#include <sys/eventfd.h>

#include <unistd.h>

#include <stdexcept>

namespace modelforge::http {

poller::poller() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  wake_up_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  epoll_event event{.events = EPOLLIN, .data = {.fd = wake_up_}};
  if (epoll_ < 0 || wake_up_ < 0 || epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_up_, &event) != 0) {
    close(wake_up_);
    close(epoll_);
    throw std::runtime_error("the HTTP transport cannot be started: no more open files are allowed");
  }
}

poller::~poller() {
  close(wake_up_);
  close(epoll_);
}

void poller::wake() {
  uint64_t one = 1;
  [[maybe_unused]] auto written = write(wake_up_, &one, sizeof one);
}

std::span<epoll_event> poller::wait(std::span<epoll_event> room, int milliseconds) {
  auto count = epoll_wait(epoll_, room.data(), static_cast<int>(room.size()), milliseconds);
  return room.first(count > 0 ? static_cast<std::size_t>(count) : 0);
}

bool poller::is_wake_up(const epoll_event& event) {
  if (event.data.fd != wake_up_)
    return false;
  uint64_t ignored = 0;
  [[maybe_unused]] auto got = read(wake_up_, &ignored, sizeof ignored);
  return true;
}

void poller::watch(int descriptor, watched& entry, uint32_t events) {
  if (entry.registered == events)
    return;
  epoll_event event{.events = events, .data = {.fd = descriptor}};
  auto action = events == 0 ? EPOLL_CTL_DEL : entry.registered == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  epoll_ctl(epoll_, action, descriptor, &event);
  entry.registered = events;
}

} // namespace modelforge::http
