#include "log/logger.hpp"

#include "log/backlog.hpp"
#include "log/scribe.hpp"
#include "log/target.hpp"
#include "log/throttle.hpp"

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace modelforge::log {

namespace {

using namespace std::chrono_literals;

/// How long what is no warning may wait for others, so that a busy program does not wake the thread for each.
constexpr auto gather_time = 10ms;

using timed = throttle::timed;

/// What the settings come to, given what the program says.
log_settings resolved(log_settings wanted, const log_options& options) {
  if (wanted.sink == "automatic")
    wanted.sink = wanted.level != log_level::automatic ? "stderr" : options.automatic_sink;
  if (wanted.level == log_level::automatic)
    wanted.level = options.level;
  if (options.sink)
    wanted.sink = "none";
  return wanted;
}

failure cannot_log(const std::string& why) {
  return make_failure(errc::configuration, "log.sink: " + why,
                      "name a file in a folder that can be written, `stderr` or `none`");
}

} // namespace

/// What the thread and its owner share.
class logger::core : public std::enable_shared_from_this<core> {
public:
  core(target to, log_format format, log_sink sink)
    : sink_name_(to.sink()), scribe_(std::move(to), format, std::move(sink)) {}

  void start() {
    sigset_t every, before; // the host's signals are not for this thread
    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &before);
    thread_ = std::make_unique<std::thread>([me = shared_from_this()] { me->run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void push(timed happened, bool is_urgent) {
    if (is_forked())
      return;
    std::lock_guard lock{mutex_};
    if (!throttle_.passes(happened, clock::now()))
      return wake(false);
    auto bytes = happened.what.bytes();
    if (!backlog_.push(std::move(happened), bytes))
      ++dropped_;
    wake(is_urgent || backlog_.is_crowded());
  }

  /// What is to be otherwise from now on.
  struct change {
    std::optional<target> to{};
    std::optional<log_format> format{};
    std::shared_ptr<const secret_mask> secrets{};
    bool reopen = false;
    std::size_t behind = 0; ///< Events that had happened before, and go where they were to go.
  };

  void apply(change other) {
    if (is_forked())
      return;
    std::lock_guard lock{mutex_};
    if (other.to)
      sink_name_ = other.to->sink();
    other.behind = backlog_.size();
    changes_.push_back(std::move(other));
    wake(true);
  }

  /// Waits until all is written and the thread has gone, for a time. A thread that a sink or a disk holds up for longer
  /// is left alone.
  void end() {
    if (is_forked()) { // the thread is another process's
      static_cast<void>(thread_.release());
      return;
    }
    std::unique_lock lock{mutex_};
    is_ending_ = true;
    wake(true);
    auto has_ended = ended_.wait_for(lock, max_flush, [this] { return has_ended_; });
    lock.unlock();
    has_ended ? thread_->join() : thread_->detach();
  }

  std::string sink_name() const {
    std::lock_guard lock{mutex_};
    return sink_name_;
  }

  uint64_t dropped() const { return dropped_ + scribe_.lost(); }
  uint64_t sink_failures() const { return scribe_.sink_failures(); }

private:
  using clock = throttle::time_point::clock;

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

  /// What there is to do in one go.
  struct work {
    std::vector<change> changes;
    std::vector<timed> events;
    uint64_t dropped = 0;
    bool is_last = false;
  };

  void run() {
    for (auto is_last = false; !is_last;) {
      auto next = wait();
      is_last = next.is_last;
      try {
        carry_out(next);
      } catch (const std::exception&) { // no memory
        ++dropped_;
      }
    }
    std::lock_guard lock{mutex_};
    has_ended_ = true;
    ended_.notify_all();
  }

  void carry_out(work& next) {
    auto change = next.changes.begin();
    auto carry_out_due = [&](std::size_t written) {
      for (; change != next.changes.end() && change->behind <= written; ++change)
        carry_out(*change);
    };
    for (std::size_t i = 0; i < next.events.size(); ++i) {
      carry_out_due(i);
      scribe_.write(next.events[i]);
    }
    carry_out_due(SIZE_MAX);
    scribe_.note_missing(next.dropped);
    scribe_.flush(clock::now());
  }

  void carry_out(change& other) {
    if (other.secrets != nullptr)
      scribe_.mask(std::move(other.secrets));
    if (other.format)
      scribe_.set_format(*other.format);
    if (other.to)
      scribe_.move_to(std::move(*other.to));
    else if (other.reopen)
      scribe_.reopen();
  }

  work wait() {
    std::unique_lock lock{mutex_};
    while (backlog_.empty() && !is_to_act()) {
      is_gathering_ = false;
      auto due = throttle_.wake_at();
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
    work result{std::exchange(changes_, {}), std::move(content.waiting), content.dropped, is_ending_};
    for (auto& each : is_ending_ ? throttle_.take_all() : throttle_.take_due(clock::now()))
      result.events.push_back(std::move(each));
    is_urgent_ = false;
    return result;
  }

  const pid_t process_ = getpid();
  std::unique_ptr<std::thread> thread_; ///< Of the owner alone.
  mutable std::mutex mutex_;
  std::condition_variable woken_, ended_;
  throttle throttle_;
  backlog<timed> backlog_{max_waiting, max_waiting_bytes};
  std::vector<change> changes_;
  std::string sink_name_;
  bool is_urgent_ = false;
  bool is_gathering_ = false; ///< The thread will look without being woken.
  bool is_ending_ = false;
  bool has_ended_ = false;
  std::atomic<uint64_t> dropped_{0}; ///< For want of room.
  scribe scribe_;                    ///< Of the thread alone, but for its counts.
};

std::variant<log_handle, failure> logger::start(const log_settings& settings, log_options options) {
  auto resolution = resolved(settings, options);
  auto opened = target::open(resolution.sink);
  if (auto* why = std::get_if<std::string>(&opened))
    return cannot_log(*why);
  try {
    auto shared = std::make_shared<core>(std::get<target>(std::move(opened)), settings.format, options.sink);
    shared->start();
    log_handle result{new logger{shared, std::move(options)}};
    result->take(resolution);
    return result;
  } catch (const std::exception& problem) {
    return make_failure(errc::internal, std::string{"the log cannot be started: "} + problem.what());
  }
}

logger::logger(std::shared_ptr<core> core, log_options options)
  : core_(std::move(core)), options_(std::move(options)) {}

logger::~logger() {
  core_->end();
}

void logger::take(const log_settings& settings) {
  threshold_ = settings.sink == "none" && !options_.sink ? -1 : static_cast<int>(settings.level);
  content_ = settings.content;
  if (wants_content())
    write(entry{event::log_content});
}

void logger::write(entry happened) noexcept {
  try {
    auto level = happened.rule().level;
    if (wants(level))
      core_->push({std::move(happened), std::chrono::system_clock::now()}, level <= log_level::warning);
  } catch (...) { // no memory: what is told of it would be lost, too
  }
}

void logger::mask(std::shared_ptr<const secret_mask> secrets) {
  core_->apply({.secrets = std::move(secrets)});
}

void logger::reopen() {
  core_->apply({.reopen = true});
}

std::optional<failure> logger::check(const log_settings& settings) const {
  auto sink = resolved(settings, options_).sink;
  if (sink == core_->sink_name())
    return {};
  auto opened = target::open(sink);
  if (auto* why = std::get_if<std::string>(&opened))
    return cannot_log(*why);
  return {};
}

void logger::reconfigure(const log_settings& settings) {
  auto resolution = resolved(settings, options_);
  core::change other{.format = settings.format, .reopen = true};
  if (resolution.sink != core_->sink_name()) {
    auto opened = target::open(resolution.sink);
    if (auto* why = std::get_if<std::string>(&opened))
      say_aside("modelforge: the log: " + *why + "\n");
    else
      other.to = std::get<target>(std::move(opened));
  }
  core_->apply(std::move(other));
  take(resolution);
}

uint64_t logger::dropped() const {
  return core_->dropped();
}

uint64_t logger::sink_failures() const {
  return core_->sink_failures();
}

} // namespace modelforge::log

namespace modelforge {

std::variant<log_handle, failure> start_log(const log_settings& settings, const log_options& options) {
  return log::logger::start(settings, options);
}

void reopen(const log_handle& log) {
  if (log != nullptr)
    log->reopen();
}

uint64_t dropped_events(const log_handle& log) {
  return log != nullptr ? log->dropped() : 0;
}

} // namespace modelforge
