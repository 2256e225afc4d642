/// Time to the first piece of a stream, beside a bare libcurl program with one hop between threads.
///
/// Both take small streams (20 chunks) from the same nginx over kept connections, in turn, a slice of a second each, in
/// one run. Streams start at times fixed in advance, and each is timed from its planned start until its first piece is
/// in the consumer's hands:
///  - reference: a thread with libcurl's multi interface and curl_multi_poll gets the start by a queue and
///    curl_multi_wakeup, and hands what it reads to a consumer thread by a queue with a condition variable;
///  - modelforge: a subscriber actor, a session and the provider actor for each stream.
///
/// Usage: stream_latency [SAMPLES=2000] [RATE ...]; rates are streams a second, 100 and 1000 unless given. Exits with 1
/// where a promise was not kept.

#include "bench/host.hpp"
#include "bench/measure.hpp"
#include "bench/nginx.hpp"
#include "bench/sse_body.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <curl/curl.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <sys/prctl.h>
#include <thread>

namespace {

using namespace modelforge;
using namespace modelforge::bench;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

constexpr std::size_t chunks_per_stream = 20;

/// The streams of one slice. Each element of `seconds` is written by one thread.
struct slice {
  slice(std::size_t rate, std::size_t count)
    : interval(std::chrono::nanoseconds{1s} / rate), seconds(count), first_token(count), to_end(count) {}

  steady::time_point planned(std::size_t i) const { return begin + static_cast<long>(i) * interval; }
  void first_piece(std::size_t i) { seconds[i] = std::chrono::duration<double>{steady::now() - planned(i)}.count(); }

  void end() {
    if (to_end.fetch_sub(1) == 1)
      ended.set_value();
  }

  std::chrono::nanoseconds interval;
  steady::time_point begin{};
  std::vector<double> seconds;
  std::vector<double> first_token;
  std::atomic<std::size_t> to_end;
  std::promise<void> ended;
};

// -- the reference ----------------------------------------------------------------

class bare_program {
public:
  explicit bare_program(const std::string& url)
    : url_(url + "/v1/chat/completions"), headers_(curl_slist_append(nullptr, "Content-Type: application/json")),
      io_([this] { transfer_all(); }), consumer_([this] { consume(); }) {}

  ~bare_program() {
    start(nullptr, 0);
    io_.join();
    hand({});
    consumer_.join();
    for (auto& x : all_)
      curl_easy_cleanup(x.easy);
    curl_multi_cleanup(multi_);
    curl_slist_free_all(headers_);
  }

  void start(std::shared_ptr<slice> of, std::size_t i) {
    {
      std::lock_guard guard{commands_mutex_};
      commands_.push_back({std::move(of), i});
    }
    curl_multi_wakeup(multi_);
  }

private:
  struct command {
    std::shared_ptr<slice> of; ///< nullptr: stop.
    std::size_t i = 0;
  };

  struct piece {
    std::shared_ptr<slice> of; ///< nullptr: stop.
    std::size_t i = 0;
    std::string bytes;
    bool first = false;
    bool last = false;
  };

  struct transfer {
    bare_program* owner = nullptr;
    CURL* easy = nullptr;
    command at;
    bool begun = false;
  };

  void transfer_all() {
    for (bool stopped = false; !stopped;) {
      std::vector<command> commands;
      {
        std::lock_guard guard{commands_mutex_};
        commands.swap(commands_);
      }
      for (auto& x : commands)
        if (x.of != nullptr)
          begin(std::move(x));
        else
          stopped = true;
      int running = 0;
      curl_multi_perform(multi_, &running);
      collect();
      if (!stopped)
        curl_multi_poll(multi_, nullptr, 0, 1000, nullptr);
    }
  }

  void begin(command at) {
    if (free_.empty()) {
      free_.push_back(&all_.emplace_back());
      prepare(all_.back());
    }
    auto& x = *free_.back();
    free_.pop_back();
    x.at = std::move(at);
    x.begun = false;
    curl_multi_add_handle(multi_, x.easy);
  }

  void prepare(transfer& x) {
    constexpr auto request = R"({"model":"demo-mini","stream":true,"messages":[{"role":"user","content":"hi"}]})";
    x.owner = this;
    x.easy = curl_easy_init();
    curl_easy_setopt(x.easy, CURLOPT_URL, url_.c_str());
    curl_easy_setopt(x.easy, CURLOPT_HTTPHEADER, headers_);
    curl_easy_setopt(x.easy, CURLOPT_POSTFIELDS, request);
    curl_easy_setopt(x.easy, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(x.easy, CURLOPT_WRITEDATA, &x);
    curl_easy_setopt(x.easy, CURLOPT_PRIVATE, &x);
    curl_easy_setopt(x.easy, CURLOPT_NOSIGNAL, 1L);
  }

  static std::size_t on_data(char* data, std::size_t, std::size_t size, void* to) {
    auto& x = *static_cast<transfer*>(to);
    x.owner->hand({x.at.of, x.at.i, {data, size}, !std::exchange(x.begun, true), false});
    return size;
  }

  void collect() {
    int left = 0;
    while (auto* message = curl_multi_info_read(multi_, &left)) {
      transfer* x = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &x);
      if (message->data.result != CURLE_OK)
        die("a stream of the reference was cut");
      curl_multi_remove_handle(multi_, x->easy);
      free_.push_back(x);
      hand({x->at.of, x->at.i, {}, false, true});
    }
  }

  void hand(piece x) {
    {
      std::lock_guard guard{pieces_mutex_};
      pieces_.push_back(std::move(x));
    }
    arrived_.notify_one();
  }

  void consume() {
    for (;;) {
      std::unique_lock lock{pieces_mutex_};
      arrived_.wait(lock, [this] { return !pieces_.empty(); });
      auto x = std::move(pieces_.front());
      pieces_.pop_front();
      lock.unlock();
      if (x.of == nullptr)
        return;
      if (x.first)
        x.of->first_piece(x.i);
      if (x.last)
        x.of->end();
    }
  }

  std::string url_;
  curl_slist* headers_;
  CURLM* multi_ = curl_multi_init(); ///< Keeps four connections for each transfer.
  std::deque<transfer> all_;
  std::vector<transfer*> free_;
  std::mutex commands_mutex_;
  std::vector<command> commands_;
  std::mutex pieces_mutex_;
  std::condition_variable arrived_;
  std::deque<piece> pieces_;
  std::thread io_; // after what they use
  std::thread consumer_;
};

// -- modelforge -------------------------------------------------------------------

stream_subscriber_actor::behavior_type subscriber(stream_subscriber_actor::pointer self, std::shared_ptr<slice> of,
                                                  std::size_t i) {
  auto begun = std::make_shared<bool>(false);
  return {
    [=](const stream_chunk&) {
      if (!std::exchange(*begun, true))
        of->first_piece(i);
      self->send(caf::actor_cast<stream_session_actor>(self->current_sender()), grant_atom_v, 1u);
    },
    [=](const stream_done& x) {
      of->first_token[i] = std::chrono::duration<double>{x.first_token}.count();
      of->end();
    },
    [](const stream_failed& x) { die(to_string(x.why)); },
  };
}

void start_stream(host& at, const stream_subscriber_actor& to) {
  stream_request x;
  x.chat.messages.push_back(text_message(role::user, "hi"));
  caf::anon_send(at.provider(), std::move(x), to);
}

// -- the comparison ---------------------------------------------------------------

/// One side, over all of its slices.
struct side {
  std::vector<double> seconds;
  double cpu = 0;
  long waits = 0;                  ///< How often a thread gave its core up to wait.
  std::vector<double> first_token; ///< As `stream_done` tells it: from the attempt's dispatch.
  std::vector<double> medians;     ///< Of each slice.
};

long voluntary_waits() {
  rusage x{};
  getrusage(RUSAGE_SELF, &x);
  return x.ru_nvcsw;
}

/// `prepare` makes the consumers, which are there before what they ask for, and returns what starts the i-th stream.
template <class F>
void run_slice(side& to, std::size_t rate, std::size_t count, F prepare) {
  auto x = std::make_shared<slice>(rate, count);
  auto ended = x->ended.get_future();
  auto waits = voluntary_waits();
  auto took = measure([&] {
    auto start = prepare(x);
    x->begin = steady::now() + 5ms;
    for (std::size_t i = 0; i < count; ++i) {
      std::this_thread::sleep_until(x->planned(i));
      start(i);
    }
    if (ended.wait_for(60s) != std::future_status::ready)
      die("streams hang: " + std::to_string(x->to_end.load()));
  });
  to.cpu += took.cpu;
  to.waits += voluntary_waits() - waits;
  to.first_token.insert(to.first_token.end(), x->first_token.begin(), x->first_token.end());
  to.medians.push_back(quantile(x->seconds, 0.5));
  to.seconds.insert(to.seconds.end(), x->seconds.begin(), x->seconds.end());
}

void compare(bare_program& bare, host& ours, std::size_t rate, std::size_t samples) {
  auto slices = std::max<std::size_t>(8, (samples + rate - 1) / rate);
  auto count = std::max(rate, (samples + slices - 1) / slices);
  auto run_bare = [&](side& to, std::size_t n) {
    run_slice(to, rate, n, [&](auto x) { return [&, x](std::size_t i) { bare.start(x, i); }; });
  };
  auto run_ours = [&](side& to, std::size_t n) {
    run_slice(to, rate, n, [&](auto x) {
      std::vector<stream_subscriber_actor> readers;
      for (std::size_t i = 0; i < x->seconds.size(); ++i)
        readers.push_back(ours.system().spawn(subscriber, x, i));
      return [&, readers = std::move(readers)](std::size_t i) mutable {
        start_stream(ours, std::exchange(readers[i], nullptr));
      };
    });
  };
  side unused;
  run_bare(unused, rate / 2);
  run_ours(unused, rate / 2);
  side a;
  side b;
  for (std::size_t i = 0; i < slices; ++i) {
    if (i % 2 == 0)
      run_bare(a, count);
    run_ours(b, count);
    if (i % 2 == 1)
      run_bare(a, count);
  }
  std::printf("%zu streams a second, %zu of each side\n", rate, a.seconds.size());
  std::array<double, 3> ratios{};
  std::array<double, 3> added{};
  for (std::size_t i = 0; i < 3; ++i) {
    auto q = std::array{0.5, 0.95, 0.99}[i];
    auto bare_time = quantile(a.seconds, q);
    auto our_time = quantile(b.seconds, q);
    ratios[i] = our_time / bare_time;
    added[i] = our_time - bare_time;
    std::printf("  %-6s reference %7.3f ms, modelforge %7.3f ms: %+.3f ms, %.2f x\n",
                std::array{"median", "p95", "p99"}[i], bare_time * 1e3, our_time * 1e3, added[i] * 1e3, ratios[i]);
  }
  auto n = static_cast<double>(a.seconds.size());
  std::printf("  CPU    reference %6.1f us, modelforge %6.1f us a stream: %.2f x\n", a.cpu / n * 1e6, b.cpu / n * 1e6,
              b.cpu / a.cpu);
  std::printf("  waits of threads: reference %.1f, modelforge %.1f a stream\n", static_cast<double>(a.waits) / n,
              static_cast<double>(b.waits) / n);
  std::printf("  of modelforge's median, from dispatch to the session's first piece: %.3f ms\n",
              quantile(b.first_token, 0.5) * 1e3);
  std::printf("  medians of the slices: reference %.3f to %.3f ms, modelforge %.3f to %.3f ms\n",
              quantile(a.medians, 0) * 1e3, quantile(a.medians, 1) * 1e3, quantile(b.medians, 0) * 1e3,
              quantile(b.medians, 1) * 1e3);
  promise("median: at most 0.1 ms more, or 1.5 x", added[0] <= 1e-4 || ratios[0] <= 1.5);
  promise("p99: at most 1.5 x", ratios[2] <= 1.5);
}

} // namespace

int main(int argc, char** argv) {
  auto samples = argument(argc, argv, 1, 2'000);
  curl_global_init(CURL_GLOBAL_DEFAULT);
  prctl(PR_SET_TIMERSLACK, 1); // starts on time, on both sides
  nginx server{{.body = sse_body(chunks_per_stream), .type = "text/event-stream"}};
  bare_program bare{server.url()};
  host ours{host::settings_for(server.url(), 1'000)};
  std::vector<std::size_t> rates;
  for (int i = 2; i < argc; ++i)
    rates.push_back(argument(argc, argv, i, 0));
  if (rates.empty())
    rates = {100, 1'000};
  for (auto rate : rates)
    compare(bare, ours, std::max<std::size_t>(rate, 1), samples);
  return all_kept ? 0 : 1;
}
