/// From a reader's death to the aborted connection, seen at the simulator in the same process.
///
/// Usage: stream_cancel [SAMPLES=200] [OPEN=0]; OPEN further streams are open all the time. Exits with 1 where a
/// promise was not kept.

#include "bench/host.hpp"
#include "bench/measure.hpp"
#include "tools/simulator/simulator.hpp"

#include <caf/typed_event_based_actor.hpp>

#include <atomic>
#include <functional>
#include <thread>

namespace {

using namespace modelforge;
using namespace modelforge::bench;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

stream_subscriber_actor::behavior_type subscriber(stream_subscriber_actor::pointer self,
                                                  std::atomic<std::size_t>* begun) {
  return {
    [=](const stream_chunk& x) {
      *begun += x.sequence == 0;
      self->send(caf::actor_cast<stream_session_actor>(self->current_sender()), grant_atom_v, 1u);
    },
    [](const stream_done&) { die("a stream has ended"); },
    [](const stream_failed& x) {
      if (x.why.code != errc::cancelled) // as at the end of the program
        die(to_string(x.why));
    },
  };
}

stream_subscriber_actor start_stream(host& at, std::atomic<std::size_t>& begun) {
  stream_request x;
  x.chat.messages.push_back(text_message(role::user, "hi"));
  stream_subscriber_actor result = at.system().spawn(subscriber, &begun);
  caf::anon_send(at.provider(), std::move(x), result);
  return result;
}

void wait_until(const char* what, const std::function<bool()>& so) {
  auto until = steady::now() + 30s;
  while (!so()) {
    if (steady::now() > until)
      die(std::string{"waited in vain for "} + what);
    std::this_thread::sleep_for(200us);
  }
}

} // namespace

int main(int argc, char** argv) {
  auto samples = std::max<std::size_t>(argument(argc, argv, 1, 200), 1);
  auto open = argument(argc, argv, 2, 0);
  simulator::options behaviour;
  behaviour.tokens_per_second = 10;
  behaviour.min_answer_tokens = behaviour.max_answer_tokens = 100'000;
  simulator::server server{behaviour};
  std::atomic<std::size_t> begun{0};
  host ours{host::settings_for(server.url(), open + 1)};
  std::vector<stream_subscriber_actor> others;
  for (std::size_t i = 0; i < open; ++i)
    others.push_back(start_stream(ours, begun));
  wait_until("the other streams", [&] { return begun == open; });

  std::vector<double> aborted;
  std::vector<double> freed;
  for (std::size_t i = 0; i < samples; ++i) {
    begun = 0;
    auto reader = start_stream(ours, begun);
    wait_until("a stream", [&] { return begun > 0; });
    std::this_thread::sleep_for(std::chrono::milliseconds{i % 7}); // not in step with the tokens
    auto killed = steady::now();
    caf::anon_send_exit(reader, caf::exit_reason::kill);
    wait_until("the aborted connection", [&] { return server.snapshot().aborted_streams > i; });
    aborted.push_back(std::chrono::duration<double>{*server.snapshot().last_abort - killed}.count());
    wait_until("the slot", [&] { return ours.status().in_flight == open; });
    freed.push_back(std::chrono::duration<double>{steady::now() - killed}.count());
  }
  auto most = quantile(aborted, 1);
  std::printf("%zu streams whose reader was killed, beside %zu others\n", samples, open);
  std::printf("  aborted at the server: median %.2f ms, p99 %.2f ms, max %.2f ms\n", quantile(aborted, 0.5) * 1e3,
              quantile(aborted, 0.99) * 1e3, most * 1e3);
  std::printf("  slot seen to be free: median %.2f ms, max %.2f ms\n", quantile(freed, 0.5) * 1e3,
              quantile(freed, 1) * 1e3);
  promise("under 50 ms from the reader's death to the aborted connection", most < 0.05);
  promise("each slot was free again, each connection aborted once", server.snapshot().aborted_streams == samples);
  return all_kept ? 0 : 1;
}
