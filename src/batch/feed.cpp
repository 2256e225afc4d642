#include "batch/feed.hpp"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

namespace modelforge::batch {

namespace {

constexpr std::size_t max_ahead = 64;

bool is_last(const feed::entry& x) {
  return std::holds_alternative<failure>(x) || !std::get<std::optional<item>>(x);
}

} // namespace

struct feed::shared {
  std::mutex mutex;
  std::condition_variable room;
  std::deque<entry> ready;
  bool wanted = false; ///< Somebody came for an entry and got none.
  bool closed = false;
  std::function<void()> on_ready;

  /// Adds an entry when there is room. False: nobody wants any more.
  bool put(entry x) {
    std::unique_lock lock{mutex};
    room.wait(lock, [this] { return closed || ready.size() < max_ahead; });
    if (closed)
      return false;
    ready.push_back(std::move(x));
    if (std::exchange(wanted, false))
      on_ready(); // under the lock, so that the destructor knows when the last call is over
    return true;
  }

  void read(const std::string& path, const input_form& form) {
    auto opened = open_source(path, form);
    if (auto* problem = std::get_if<failure>(&opened)) {
      put(std::move(*problem));
      return;
    }
    auto& source = *std::get<std::unique_ptr<batch::source>>(opened);
    for (bool more = true; more;) {
      auto next = source.next();
      more = !is_last(next);
      more = put(std::move(next)) && more;
    }
  }
};

feed::feed(std::string path, input_form form, std::function<void()> on_ready) : shared_(std::make_shared<shared>()) {
  shared_->on_ready = std::move(on_ready);
  std::thread{[to = shared_, path = std::move(path), form = std::move(form)] { to->read(path, form); }}.detach();
}

feed::~feed() {
  std::lock_guard lock{shared_->mutex};
  shared_->closed = true;
  shared_->on_ready = nullptr;
  shared_->room.notify_all();
}

std::optional<feed::entry> feed::try_next() {
  std::lock_guard lock{shared_->mutex};
  if (shared_->ready.empty()) {
    shared_->wanted = true;
    return {};
  }
  auto x = std::move(shared_->ready.front());
  shared_->ready.pop_front();
  shared_->room.notify_all();
  return x;
}

} // namespace modelforge::batch
