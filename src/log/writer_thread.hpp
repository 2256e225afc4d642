#pragma once

#include "log/backlog.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace modelforge::log {

/// A filter that lets all pass. Others keep back what is to be told later, together (see `throttle`).
template <class Item>
struct no_filter {
  using time_point = std::chrono::steady_clock::time_point;

  bool passes(const Item&, time_point) { return true; }
  std::optional<time_point> wake_at() const { return {}; }
  std::vector<Item> take_due(time_point) { return {}; }
  std::vector<Item> take_all() { return {}; }
};

/// A thread that writes what others leave here, so that none of them waits: `Scribe` says how. What finds no room is
/// counted. In a process that was forked off it takes nothing. Shared with its owner, since it may outlive that where a
/// disk hangs.
template <class Item, class Scribe, class Filter = no_filter<Item>>
class writer_thread : public std::enable_shared_from_this<writer_thread<Item, Scribe, Filter>> {
public:
  using clock = std::chrono::steady_clock;

  /// What is to be otherwise from now on; is called on the thread. One that throws is not carried out.
  using change = std::function<void(Scribe&)>;

  template <class... Ts>
  writer_thread(std::size_t max_waiting, std::size_t max_waiting_bytes, Ts&&... of_scribe)
    : backlog_(max_waiting, max_waiting_bytes), scribe_(std::forward<Ts>(of_scribe)...) {}

  /// Begins, unless it has begun.
  void start() {
    if (thread_ != nullptr)
      return;
    sigset_t every, before; // the host's signals are not for this thread
    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &before);
    thread_ = std::make_unique<std::thread>([me = this->shared_from_this()] { me->run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void push(Item happened, bool is_urgent) {
    if (is_forked())
      return;
    std::lock_guard lock{mutex_};
    if (!filter_.passes(happened, clock::now()))
      return wake(false);
    auto bytes = happened.what.bytes();
    if (!backlog_.push(std::move(happened), bytes))
      ++dropped_;
    wake(is_urgent || backlog_.is_crowded());
  }

  void apply(change other) {
    if (is_forked())
      return;
    std::lock_guard lock{mutex_};
    changes_.push_back({std::move(other), backlog_.size()});
    wake(true);
  }

  /// Has the thread write what there is, and go. Call `end` afterwards.
  void begin_end() {
    if (thread_ == nullptr || is_forked())
      return;
    std::lock_guard lock{mutex_};
    is_ending_ = true;
    wake(true);
  }

  /// Waits until all is written and the thread has gone, but no longer than `until`. A thread that a sink or a disk
  /// holds up for longer is left alone.
  void end(clock::time_point until) {
    begin_end();
    if (thread_ == nullptr)
      return;
    if (is_forked()) { // the thread is another process's
      static_cast<void>(thread_.release());
      return;
    }
    std::unique_lock lock{mutex_};
    auto has_ended = ended_.wait_until(lock, until, [this] { return has_ended_; });
    lock.unlock();
    has_ended ? thread_->join() : thread_->detach();
  }

  /// What found no room, or could not be made a line or written.
  uint64_t dropped() const { return dropped_ + scribe_.lost(); }

  /// Only for what any thread may ask it.
  const Scribe& writes_by() const { return scribe_; }

private:
  static constexpr std::string_view no_room = "more came than could be written";
  static constexpr std::string_view no_memory = "there was no memory for it";

  /// How long what is not urgent may wait for others, so that a busy program does not wake the thread for each.
  static constexpr auto gather_time = std::chrono::milliseconds{10};

  /// A fork has neither the thread nor, for sure, the lock.
  bool is_forked() const { return getpid() != process_; }

  /// Needs the lock. What is not urgent wakes a thread that waits without a time, once.
  void wake(bool is_urgent) {
    is_urgent_ = is_urgent_ || is_urgent;
    if (is_urgent_ || !is_gathering_)
      woken_.notify_one();
    is_gathering_ = true;
  }

  bool is_to_act() const { return is_urgent_ || is_ending_; }

  struct pending_change {
    change carry_out;
    std::size_t behind = 0; ///< Items that had come before, and go where they were to go.
  };

  /// What there is to do in one go.
  struct work {
    std::vector<pending_change> changes;
    std::vector<Item> items;
    uint64_t dropped = 0;
    bool is_due_lost = false; ///< What the filter had to tell.
    bool is_last = false;
  };

  void run() {
    for (auto is_last = false; !is_last;) {
      work next;
      wait(next);
      is_last = next.is_last;
      carry_out(next);
    }
    std::lock_guard lock{mutex_};
    has_ended_ = true;
    ended_.notify_all();
  }

  /// What throws, for want of memory, costs what it was about, and no more. Returns whether it did not.
  template <class F>
  static bool contained(F f) noexcept {
    try {
      f();
      return true;
    } catch (...) {
      return false;
    }
  }

  void carry_out(work& next) {
    auto change = next.changes.begin();
    auto carry_out_due = [&](std::size_t written) {
      for (; change != next.changes.end() && change->behind <= written; ++change)
        contained([&] { change->carry_out(scribe_); });
    };
    uint64_t lost = next.is_due_lost;
    for (std::size_t i = 0; i < next.items.size(); ++i) {
      carry_out_due(i);
      lost += !contained([&] { scribe_.write(next.items[i]); });
    }
    carry_out_due(SIZE_MAX);
    dropped_ += lost;
    scribe_.note_missing(next.dropped, no_room);
    scribe_.note_missing(lost, no_memory);
    contained([&] { scribe_.flush(clock::now()); });
  }

  void wait(work& next) {
    std::unique_lock lock{mutex_};
    while (backlog_.empty() && !is_to_act()) {
      is_gathering_ = false;
      auto due = filter_.wake_at();
      if (auto retry = scribe_.wake_at(); retry && (!due || *retry < *due))
        due = retry;
      if (!due)
        woken_.wait(lock);
      else if (woken_.wait_until(lock, *due) == std::cv_status::timeout)
        break;
    }
    is_gathering_ = true;
    woken_.wait_for(lock, gather_time, [this] { return is_to_act(); });
    auto content = backlog_.take();
    next = {std::exchange(changes_, {}), std::move(content.waiting), content.dropped, false, is_ending_};
    next.is_due_lost = !contained([&] {
      for (auto& each : is_ending_ ? filter_.take_all() : filter_.take_due(clock::now()))
        next.items.push_back(std::move(each));
    });
    is_urgent_ = false;
  }

  const pid_t process_ = getpid();
  std::unique_ptr<std::thread> thread_; ///< Of the owner alone.
  std::mutex mutex_;
  std::condition_variable woken_, ended_;
  Filter filter_;
  backlog<Item> backlog_;
  std::vector<pending_change> changes_;
  bool is_urgent_ = false;
  bool is_gathering_ = false; ///< The thread will look without being woken.
  bool is_ending_ = false;
  bool has_ended_ = false;
  std::atomic<uint64_t> dropped_{0}; ///< For want of room or memory.
  Scribe scribe_;                    ///< Of the thread alone, but for its counts.
};

} // namespace modelforge::log
