#include "trace/exporter.hpp"

#include "config/secret_mask.hpp"
#include "log/access_scribe.hpp"

#include <condition_variable>
#include <csignal>
#include <mutex>
#include <utility>

namespace modelforge::trace {

namespace {

constexpr auto connect_timeout = std::chrono::seconds{5};
constexpr auto total_timeout = std::chrono::seconds{10}; ///< OTLP's usual one.
constexpr uint64_t max_answer_bytes = 64u << 10;

} // namespace

/// What the thread, the answers and those who hand in share.
class exporter::core {
public:
  using clock = outbox::clock;

  core(log_handle log, uint64_t seed) : log_(std::move(log)), outbox_(seed) {}

  void send_to(destination where) {
    std::lock_guard lock{mutex_};
    to_ = std::make_shared<const destination>(std::move(where));
  }

  void mask(std::shared_ptr<const secret_mask> secrets) {
    std::lock_guard lock{mutex_};
    secrets_ = std::move(secrets);
  }

  void add(log::request_record ended) {
    std::lock_guard lock{mutex_};
    if (outbox_.add({std::move(ended), std::chrono::system_clock::now()}, clock::now()))
      woken_.notify_one();
  }

  span_counts counts() const {
    std::lock_guard lock{mutex_};
    return outbox_.counts();
  }

  void finish(clock::time_point until) {
    std::lock_guard lock{mutex_};
    outbox_.finish();
    until_ = until;
    woken_.notify_one();
  }

  /// Sends until `finish`, and then what is left while there is time.
  static void run(const std::shared_ptr<core>& me, http::client& client) {
    std::unique_lock lock{me->mutex_};
    while (!me->is_over()) {
      auto step = me->outbox_.next(clock::now());
      if (!step) {
        me->wait(lock);
        continue;
      }
      auto to = me->to_;
      auto secrets = me->secrets_;
      lock.unlock();
      me->send(me, client, std::move(step->batch), *to, secrets.get());
      lock.lock();
    }
    me->outbox_.abandon();
  }

private:
  bool is_over() const { return until_ && (outbox_.is_done() || clock::now() >= *until_); }

  void wait(std::unique_lock<std::mutex>& lock) {
    auto due = outbox_.wake_at();
    if (until_ && (!due || *until_ < *due))
      due = until_;
    if (due)
      woken_.wait_until(lock, *due);
    else
      woken_.wait(lock);
  }

  /// Without the lock: answers come within `fetch`, too.
  void send(const std::shared_ptr<core>& me, http::client& client, std::vector<log::timed_record> batch,
            const destination& to, const secret_mask* secrets) {
    try {
      if (!batch.empty()) {
        if (secrets != nullptr)
          for (auto& each : batch)
            log::mask_texts(each.what, *secrets);
        body_ = std::make_shared<const std::string>(to_otlp(to.from, batch));
      }
      http::request request;
      request.url = to.url;
      request.headers = to.headers;
      request.headers.push_back({"content-type", "application/json"});
      request.shared_body = body_;
      request.connect_timeout = connect_timeout;
      request.total_timeout = total_timeout;
      request.max_response_bytes = max_answer_bytes;
      client.fetch(std::move(request), [me, url = to.url](const http::response& answer) {
        me->on_delivery(judge(answer, std::chrono::system_clock::now()), url);
      });
    } catch (const std::exception& problem) { // no memory
      on_delivery({.what = delivery::result::refused, .reason = problem.what()}, to.url);
    }
  }

  void on_delivery(const delivery& how, const std::string& url) {
    std::optional<outbox::news> news;
    {
      std::lock_guard lock{mutex_};
      outbox_.on_delivery(how, clock::now());
      news = outbox_.collect_news();
      woken_.notify_one();
    }
    if (news)
      tell_log(log_, news->works ? log::event::traces_exported : log::event::traces_not_exported, [&](log::entry x) {
        return std::move(x).with(log::field::address, url).with(log::field::reason, news->reason);
      });
  }

  log_handle log_;
  mutable std::mutex mutex_;
  std::condition_variable woken_;
  outbox outbox_;
  std::optional<clock::time_point> until_; ///< When the end waits no longer; empty: this is not the end.
  std::shared_ptr<const destination> to_;  ///< Not null while anything waits.
  std::shared_ptr<const secret_mask> secrets_;
  std::shared_ptr<const std::string> body_; ///< What was sent last; of the thread alone.
};

exporter::exporter(log_handle log, client_maker make_client, uint64_t seed, std::chrono::nanoseconds flush)
  : flush_(flush), make_client_(std::move(make_client)), core_(std::make_shared<core>(std::move(log), seed)) {}

exporter::~exporter() {
  if (thread_ == nullptr)
    return;
  if (getpid() != process_) { // the thread is another process's
    static_cast<void>(thread_.release());
    return;
  }
  core_->finish(core::clock::now() + flush_);
  thread_->join();
}

void exporter::start() {
  if (thread_ != nullptr)
    return;
  client_ = make_client_();
  sigset_t every, before; // the host's signals are not for this thread
  sigfillset(&every);
  pthread_sigmask(SIG_SETMASK, &every, &before);
  thread_ = std::make_unique<std::thread>([shared = core_, &client = *client_] { core::run(shared, client); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void exporter::send_to(std::optional<destination> where) {
  if (!where) {
    share_ = -1;
    return;
  }
  auto share = where->share;
  core_->send_to(std::move(*where));
  start();
  share_ = share;
}

std::optional<double> exporter::share() const noexcept {
  auto share = share_.load(std::memory_order_acquire);
  return share >= 0 ? std::optional{share} : std::nullopt;
}

void exporter::take(log::request_record ended) noexcept {
  if (getpid() != process_)
    return;
  try {
    core_->add(std::move(ended));
  } catch (...) { // no memory
  }
}

void exporter::mask(std::shared_ptr<const secret_mask> secrets) {
  core_->mask(std::move(secrets));
}

span_counts exporter::counts() const {
  return core_->counts();
}

} // namespace modelforge::trace
