/// A reader that takes one chunk a second from a long stream: how much memory that takes here, and how much the server
/// has sent meanwhile. The server sets its send buffer to 64 KiB, or the kernel's buffers would hide it.
///
/// Usage: slow_reader [SCENARIO ...] [--program PROGRAM]: simulator, tls, http2, idle; all unless given. PROGRAM is
/// `modelforge`, of the same build unless given. Exits with 1 where a promise was not kept.

#include "bench/host.hpp"
#include "bench/measure.hpp"
#include "bench/nginx.hpp"
#include "bench/simulated.hpp"
#include "bench/sse_body.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <future>
#include <sys/wait.h>
#include <thread>

namespace {

using namespace modelforge;
using namespace modelforge::bench;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

constexpr uint32_t send_buffer = 64u << 10;
constexpr std::size_t mib = 1u << 20;

struct reading {
  std::chrono::nanoseconds pause{0}; ///< From a chunk to the wish for the next.
  std::atomic<std::size_t> chunks{0};
  std::atomic<std::size_t> bytes{0}; ///< Of text.
  std::atomic<bool> done{false};
  std::atomic<bool> failed{false};
};

stream_subscriber_actor::behavior_type reader(stream_subscriber_actor::pointer self, std::shared_ptr<reading> to) {
  return {
    [=](const stream_chunk& x) {
      ++to->chunks;
      to->bytes += text_of(x).size();
      self->run_delayed(to->pause, [=, session = caf::actor_cast<stream_session_actor>(self->current_sender())] {
        self->send(session, grant_atom_v, 1u);
      });
    },
    [=](const stream_done&) { to->done = true; },
    [=](const stream_failed& x) {
      if (x.why.code == errc::cancelled)
        return;
      std::printf("  the %s reader's stream failed: %s\n", to->pause > 0s ? "slow" : "quick", to_string(x.why).c_str());
      to->failed = true;
    },
  };
}

stream_subscriber_actor start_stream(host& at, const std::shared_ptr<reading>& to) {
  stream_request x;
  x.chat.messages.push_back(text_message(role::user, "hi"));
  x.as.demand = 1;
  stream_subscriber_actor result = at.system().spawn(reader, to);
  caf::anon_send(at.provider(), std::move(x), result);
  return result;
}

/// Takes a little of a stream, so that what is made once is there.
void warm_up(host& at) {
  auto others = at.status().in_flight;
  auto to = std::make_shared<reading>();
  auto first = start_stream(at, to);
  auto until = steady::now() + 10s;
  while (to->chunks < 3)
    if (std::this_thread::sleep_for(1ms); steady::now() > until)
      die("no stream");
  caf::anon_send_exit(first, caf::exit_reason::kill);
  while (at.status().in_flight > others)
    std::this_thread::sleep_for(1ms);
  std::this_thread::sleep_for(200ms); // the server has seen it, too
}

double in_mib(std::size_t x) {
  return static_cast<double>(x) / static_cast<double>(mib);
}

/// What the slow reader costs; `sent` tells how much the server has sent since it started.
struct seen {
  std::size_t risen = 0;      ///< Most resident memory, above that before the stream.
  std::size_t sent = 0;       ///< By the server, in all.
  std::size_t sent_later = 0; ///< Of these, in the second half.
  std::size_t taken = 0;      ///< By the reader: text.
  std::size_t chunks = 0;
};

seen watch(host& at, const std::function<std::size_t()>& sent) {
  warm_up(at);
  auto to = std::make_shared<reading>();
  to->pause = 1s;
  auto before = resident_bytes();
  auto sent_before = sent();
  seen x;
  auto slow = start_stream(at, to);
  constexpr int steps = 200;
  for (int i = 0; i < steps; ++i) {
    std::this_thread::sleep_for(100ms);
    auto now = resident_bytes();
    x.risen = std::max(x.risen, now - std::min(now, before));
    if (i == steps / 2)
      x.sent_later = sent();
  }
  auto all = sent();
  x.sent_later = all - x.sent_later;
  x.sent = all - sent_before;
  x.taken = to->bytes;
  x.chunks = to->chunks;
  if (to->failed || to->done || x.chunks == 0)
    die("the stream has ended");
  caf::anon_send_exit(slow, caf::exit_reason::kill);
  std::printf("  20 s: %zu chunks taken, %.2f MiB of text; the server sent %.2f MiB, %.2f MiB of it in the last 10 s\n",
              x.chunks, in_mib(x.taken), in_mib(x.sent), in_mib(x.sent_later));
  std::printf("  resident memory rose by %.2f MiB at most\n", in_mib(x.risen));
  std::fflush(stdout);
  return x;
}

/// The kernel's buffers hold some MB of what was sent, the client's most of it.
void expect_held_back(const seen& x) {
  promise("resident memory rises by under 1 MB", x.risen < 1'000'000);
  promise("the server stops: it sends under 4 MiB in all, under 1 MiB in the last 10 s",
          x.sent < 4 * mib && x.sent_later < mib);
}

// -- scenarios --------------------------------------------------------------------

/// Bytes of streams that a simulator has sent.
std::size_t stream_bytes(http::transport& by, const std::string& url) {
  std::promise<http::response> answer;
  http::request x;
  x.method = "GET";
  x.url = url + "/__simulator/stats";
  by.fetch(std::move(x), [&](http::response got) { answer.set_value(std::move(got)); });
  return nlohmann::json::parse(answer.get_future().get().body).at("stream_bytes");
}

std::vector<std::string> long_stream() {
  return {"--send-buffer", std::to_string(send_buffer), "--min-answer-tokens", "80000", "--max-answer-tokens", "80000"};
}

void from_simulator(const std::string& program) {
  std::puts("simulator, plain HTTP, a stream of 20 MB");
  simulated server{program, long_stream()};
  host ours{host::settings_for(server.url(), 2)};
  http::transport control;
  auto x = watch(ours, [&] { return stream_bytes(control, server.url()); });
  expect_held_back(x);
}

void from_nginx(const std::string&) {
  std::puts("nginx with TLS, HTTP/1.1, a stream of 20 MB");
  nginx server{{.body = sse_body(80'000), .type = "text/event-stream", .tls = true, .send_buffer = send_buffer}};
  host ours{host::settings_for(server.url(), 2), {.ca_file = server.ca_file()}};
  auto x = watch(ours, [&] { return server.bytes_read(); });
  expect_held_back(x);
}

void from_http2(const std::string&) {
  std::puts("nginx with TLS, HTTP/2 (stream.http2 = true), a stream of 80 MB");
  nginx server{{.body = sse_body(320'000),
                .type = "text/event-stream",
                .tls = true,
                .only_http2 = true,
                .send_buffer = send_buffer}};
  auto target = host::settings_for(server.url(), 3);
  target.stream.http2 = true;
  host ours{target, {.ca_file = server.ca_file()}};
  auto alone = watch(ours, [&] { return server.bytes_read(); });
  expect_held_back(alone);
  std::this_thread::sleep_for(1s);
  std::puts("the same beside a quick reader of such a stream");
  auto quick = std::make_shared<reading>();
  auto other = start_stream(ours, quick);
  auto x = watch(ours, [&] { return server.bytes_read(); });
  std::printf("  the quick reader took %zu chunks%s\n", quick->chunks.load(), quick->done ? ", all" : "");
  caf::anon_send_exit(other, caf::exit_reason::kill);
  promise("both streams are read as they were sent", !quick->failed);
  promise("resident memory rises by under 2 MB", x.risen < 2'000'000);
}

void with_idle_timer(const std::string& program) {
  std::puts("simulator, timeouts.idle = 2 s, a chunk every 5 s for 30 s");
  simulated server{program, long_stream()};
  auto target = host::settings_for(server.url(), 2);
  target.timeouts.idle = 2s;
  host ours{target};
  auto to = std::make_shared<reading>();
  to->pause = 5s;
  auto slow = start_stream(ours, to);
  std::this_thread::sleep_for(31s);
  std::printf("  %zu chunks taken\n", to->chunks.load());
  promise("nothing fails", !to->failed && !to->done && to->chunks >= 6);
  caf::anon_send_exit(slow, caf::exit_reason::kill);
}

struct scenario {
  const char* name;
  void (*run)(const std::string&);
};

constexpr scenario scenarios[] = {
  {"simulator", from_simulator}, {"tls", from_nginx}, {"http2", from_http2}, {"idle", with_idle_timer}};

/// Each in a process of its own: what one has freed must not hide what another one takes.
void run_apart(const scenario& x, const std::string& program) {
  std::fflush(stdout);
  auto child = fork();
  if (child == 0) {
    x.run(program);
    std::exit(all_kept ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  all_kept = all_kept && status == 0;
}

} // namespace

int main(int argc, char** argv) {
  std::string program;
  std::vector<std::string> wanted;
  for (int i = 1; i < argc; ++i)
    if (std::strcmp(argv[i], "--program") == 0 && i + 1 < argc)
      program = argv[++i];
    else
      wanted.push_back(argv[i]);
  for (auto& x : scenarios)
    if (wanted.empty() || std::find(wanted.begin(), wanted.end(), x.name) != wanted.end())
      run_apart(x, program);
  return all_kept ? 0 : 1;
}
