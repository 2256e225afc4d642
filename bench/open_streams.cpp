/// Thousands of streams open at once in one process: their memory, their CPU while nothing arrives, and their end.
///
/// The simulator runs in another process and sends each stream's first token at once and the second one, which is the
/// last, `interval` later; so all are open, and nothing arrives, for a while. Over TLS an nginx with two workers stands
/// between.
///
/// Usage: open_streams [plain|tls] [STREAMS=10000] [PROGRAM]; PROGRAM is `modelforge`, of the same build unless given.
/// Exits with 1 where a promise was not kept.

#include "bench/host.hpp"
#include "bench/measure.hpp"
#include "bench/nginx.hpp"
#include "bench/simulated.hpp"

#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <atomic>
#include <functional>
#include <optional>
#include <thread>

namespace {

using namespace modelforge;
using namespace modelforge::bench;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

constexpr std::size_t other_files = 200; ///< Descriptors that are no streams.
constexpr std::size_t opening = 128;     ///< Streams that wait for their first token at the same time.

struct progress {
  std::atomic<std::size_t> begun{0}; ///< Streams of which the first token came.
  std::atomic<std::size_t> chunks{0};
  std::atomic<std::size_t> done{0};
  std::atomic<std::size_t> failed{0};

  std::size_t ended() const { return done + failed; }
};

stream_subscriber_actor::behavior_type subscriber(stream_subscriber_actor::pointer, progress* to) {
  return {
    [=](const stream_chunk& x) {
      ++to->chunks;
      to->begun += x.sequence == 0;
    },
    [=](const stream_done& x) { ++(x.result.finish_reason == finish_reason::length ? to->done : to->failed); },
    [=](const stream_failed& x) {
      if (to->failed++ == 0)
        std::fprintf(stderr, "the first failure: %s\n", to_string(x.why).c_str());
    },
  };
}

void start_stream(host& at, progress& to, duration deadline) {
  stream_request x;
  x.chat.messages.push_back(text_message(role::user, "hi"));
  x.chat.sampling.max_tokens = 2;
  x.chat.deadline = deadline;
  caf::anon_send(at.provider(), std::move(x), stream_subscriber_actor{at.system().spawn(subscriber, &to)});
}

void wait_until(const char* what, duration most, const std::function<bool()>& so) {
  auto until = steady::now() + most;
  while (!so()) {
    if (steady::now() > until)
      die("waited in vain for " + std::string{what});
    std::this_thread::sleep_for(5ms);
  }
}

double seconds_since(steady::time_point x) {
  return std::chrono::duration<double>{steady::now() - x}.count();
}

void run(std::size_t streams, bool tls, const std::string& program) {
  auto interval = std::chrono::seconds{(tls ? 40 : 25) + streams / (tls ? 150 : 500)};
  simulated server{program, {"--tokens-per-second", std::to_string(1.0 / static_cast<double>(interval.count()))}};
  std::optional<nginx> proxy;
  http::transport_options transport;
  if (tls) {
    proxy.emplace(nginx_options{.proxy_to = server.url(), .tls = true, .workers = 2});
    transport.ca_file = proxy->ca_file();
  }
  auto target = host::settings_for(tls ? proxy->url() : server.url(), streams + 1);
  target.timeouts.connect = 30s;
  target.timeouts.idle = 2 * interval;
  progress warmed;
  progress all;
  host ours{target, transport};

  start_stream(ours, warmed, 10min);
  wait_until("the first stream", 30s, [&] { return warmed.begun + warmed.failed > 0; });

  auto before = resident_bytes();
  auto begin = steady::now();
  auto cpu = cpu_seconds();
  for (std::size_t i = 0; i < streams; ++i) {
    wait_until("a stream's first token", 60s, [&] { return i < all.begun + all.failed + opening; });
    start_stream(ours, all, 10min);
  }
  wait_until("all streams to be open", 60s, [&] { return all.begun + all.failed == streams; });
  auto opened = resident_bytes();
  auto n = static_cast<double>(streams);
  auto each = (static_cast<double>(opened) - static_cast<double>(before)) / n / 1024;
  std::printf(
    "  open after %.1f s, %.0f us of CPU each; resident memory %.1f KiB each (%.1f MiB before, %.1f MiB now)\n",
    seconds_since(begin), (cpu_seconds() - cpu) / n * 1e6, each, static_cast<double>(before) / 1048576,
    static_cast<double>(opened) / 1048576);

  std::this_thread::sleep_for(1s);
  auto chunks = all.chunks.load();
  auto ended = all.ended();
  auto idle = measure([] { std::this_thread::sleep_for(5s); });
  auto quiet = all.chunks == chunks && all.ended() == ended && ended == 0;
  std::printf("  CPU in 5 s while nothing arrives: %.1f ms\n", idle.cpu * 1e3);

  wait_until("the streams to end", 2 * interval + 60s, [&] { return all.ended() == streams; });
  std::printf("  %zu ended in stream_done, %zu failed, after %.1f s; resident memory then %.1f MiB\n", all.done.load(),
              all.failed.load(), seconds_since(begin), static_cast<double>(resident_bytes()) / 1048576);
  promise(tls ? "under 96 KiB each" : "under 64 KiB each", each < (tls ? 96 : 64));
  promise("nothing came in these 5 s, and all were open", quiet);
  promise("no CPU while nothing arrives (under 0.5 % of a core)", idle.cpu < 0.025);
  promise("every stream ended in stream_done", all.done == streams);
}

} // namespace

int main(int argc, char** argv) {
  auto tls = argc > 1 && argv[1] == std::string{"tls"};
  auto wanted = argument(argc, argv, 2, 10'000);
  auto limit = raise_file_limit();
  auto streams = std::min(wanted, limit - std::min(limit, other_files));
  std::printf("%zu streams %s; the limit of %zu descriptors allows %zu\n", streams,
              tls ? "over TLS" : "over plain HTTP", limit, limit - std::min(limit, other_files));
  std::fflush(stdout);
  run(streams, tls, argc > 3 ? argv[3] : "");
  return all_kept ? 0 : 1;
}
