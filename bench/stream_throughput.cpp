/// Chunks a second from a server that sends as fast as it can, beside a hand-written loop.
///
/// Both take the same streams (200 chunks of about 250 bytes, then the end mark) from the same nginx, with the same
/// number open at once, in turn and in one run:
///  - reference: one thread, libcurl's multi interface with curl_multi_poll, each chunk parsed by nlohmann_json;
///  - modelforge: a provider actor, a session for each stream, and subscriber actors that look at every piece.
///
/// Usage: stream_throughput [STREAMS=4000] [OPEN=64] [ROUNDS=5]. Prints a line a round and the median ratio.

#include "bench/measure.hpp"
#include "bench/nginx.hpp"
#include "bench/sse_body.hpp"

#include <modelforge/actors/provider.hpp>
#include <modelforge/actors/system.hpp>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <curl/curl.h>
#include <nlohmann/json.hpp>

#include <atomic>
#include <future>

namespace {

using namespace modelforge;
using namespace modelforge::bench;

constexpr std::size_t chunks_per_stream = 200;

// -- the reference ----------------------------------------------------------------

struct transfer {
  CURL* easy = nullptr;
  std::string buffer;
  std::size_t text = 0;
  std::size_t chunks = 0;
  bool done = false;

  void take(const char* data, std::size_t size) {
    buffer.append(data, size);
    std::size_t at = 0;
    for (auto end = buffer.find("\n\n"); end != std::string::npos; end = buffer.find("\n\n", at)) {
      auto event = std::string_view{buffer}.substr(at, end - at);
      at = end + 2;
      event.remove_prefix(6); // "data: "
      if (event == "[DONE]") {
        done = true;
        continue;
      }
      auto json = nlohmann::json::parse(event);
      auto& delta = json["choices"][0]["delta"];
      if (auto content = delta.find("content"); content != delta.end()) {
        text += content->get_ref<const std::string&>().size();
        ++chunks;
      }
    }
    buffer.erase(0, at);
  }
};

std::size_t on_data(char* data, std::size_t, std::size_t size, void* to) {
  static_cast<transfer*>(to)->take(data, size);
  return size;
}

std::size_t reference(const std::string& url, std::size_t streams, std::size_t open) {
  constexpr auto request = R"({"model":"demo-mini","stream":true,"messages":[{"role":"user","content":"hi"}]})";
  auto* multi = curl_multi_init();
  auto* headers = curl_slist_append(nullptr, "Content-Type: application/json");
  std::vector<transfer> transfers(open);
  std::size_t started = 0;
  std::size_t ended = 0;
  std::size_t chunks = 0;
  auto start = [&](transfer& x) {
    ++started;
    x.buffer.clear();
    x.done = false;
    curl_multi_add_handle(multi, x.easy);
  };
  for (auto& x : transfers) {
    x.easy = curl_easy_init();
    curl_easy_setopt(x.easy, CURLOPT_URL, (url + "/v1/chat/completions").c_str());
    curl_easy_setopt(x.easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(x.easy, CURLOPT_POSTFIELDS, request);
    curl_easy_setopt(x.easy, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(x.easy, CURLOPT_WRITEDATA, &x);
    curl_easy_setopt(x.easy, CURLOPT_PRIVATE, &x);
    curl_easy_setopt(x.easy, CURLOPT_NOSIGNAL, 1L);
    if (started < streams)
      start(x);
  }
  while (ended < streams) {
    int running = 0;
    curl_multi_perform(multi, &running);
    int left = 0;
    while (auto* message = curl_multi_info_read(multi, &left)) {
      transfer* x = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &x);
      if (message->data.result != CURLE_OK || !x->done)
        die("a stream of the reference was cut");
      curl_multi_remove_handle(multi, x->easy);
      ++ended;
      if (started < streams)
        start(*x);
    }
    if (ended < streams)
      curl_multi_poll(multi, nullptr, 0, 1000, nullptr);
  }
  for (auto& x : transfers) {
    chunks += x.chunks;
    curl_easy_cleanup(x.easy);
  }
  curl_slist_free_all(headers);
  curl_multi_cleanup(multi);
  return chunks;
}

// -- modelforge -------------------------------------------------------------------

/// What the subscribers of one run share.
struct run {
  std::atomic<std::ptrdiff_t> to_start{0};
  std::atomic<std::size_t> to_end{0};
  std::atomic<std::size_t> chunks{0};
  std::atomic<std::size_t> text{0};
  std::promise<void> ended;
};

/// Takes one stream after the other.
stream_subscriber_actor::behavior_type subscriber(stream_subscriber_actor::pointer self, provider_actor provider,
                                                  std::shared_ptr<run> at) {
  struct count {
    std::size_t chunks = 0;
    std::size_t text = 0;
  };
  auto seen = std::make_shared<count>();
  auto start = [=] {
    if (at->to_start.fetch_sub(1) <= 0) {
      self->quit();
      return;
    }
    stream_request x;
    x.chat.messages.push_back(text_message(role::user, "hi"));
    self->request(provider, caf::infinite, std::move(x), stream_subscriber_actor{self})
      .then([](const stream_session_actor&) {}, [](const caf::error& error) { die(to_string(failure_of(error))); });
  };
  start();
  return {
    [=](const stream_chunk& x) {
      for (auto& piece : x.pieces)
        seen->text += piece.text.size();
      seen->chunks += x.pieces.size();
      self->send(caf::actor_cast<stream_session_actor>(self->current_sender()), grant_atom_v, 1u);
    },
    [=](const stream_done& x) {
      if (x.result.finish_reason != finish_reason::stop)
        die("a stream ended oddly");
      at->chunks += std::exchange(seen->chunks, 0);
      at->text += std::exchange(seen->text, 0);
      if (at->to_end.fetch_sub(1) == 1)
        at->ended.set_value();
      start();
    },
    [](const stream_failed& x) { die(to_string(x.why)); },
  };
}

std::size_t through_actors(caf::actor_system& system, const provider_actor& provider, std::size_t streams,
                           std::size_t open) {
  auto at = std::make_shared<run>();
  at->to_start = static_cast<std::ptrdiff_t>(streams);
  at->to_end = streams;
  auto ended = at->ended.get_future();
  std::vector<stream_subscriber_actor> subscribers;
  for (std::size_t i = 0; i < open; ++i)
    subscribers.push_back(system.spawn(subscriber, provider, at));
  ended.get();
  return at->chunks;
}

} // namespace

int main(int argc, char** argv) {
  auto streams = argument(argc, argv, 1, 4'000);
  auto open = argument(argc, argv, 2, 64);
  auto rounds = argument(argc, argv, 3, 5);
  curl_global_init(CURL_GLOBAL_DEFAULT);
  nginx server{{.body = sse_body(chunks_per_stream), .type = "text/event-stream"}};

  init_types();
  caf::actor_system_config config;
  runtime_settings runtime;
  runtime.state_folder = "none";
  apply(runtime, config);
  caf::actor_system system{config};
  provider_settings target;
  target.name = "nginx";
  target.kind = provider_kind::openai;
  target.base_url = server.url() + "/v1";
  target.default_model = "demo-mini";
  target.max_concurrent = static_cast<uint32_t>(open);
  target.interactive_slots = 0;
  auto spawned = spawn_provider(system, target, runtime, make_transport());
  if (auto* problem = std::get_if<failure>(&spawned))
    die(to_string(*problem));
  auto provider = std::get<provider_actor>(std::move(spawned));

  std::printf("%zu streams of %zu chunks, %zu open at once, %zu rounds\n", streams, chunks_per_stream, open, rounds);
  std::vector<double> ratios;
  std::vector<double> cpu_ratios;
  for (std::size_t i = 0; i <= rounds; ++i) { // round 0 warms up
    cost a;
    cost b;
    std::size_t chunks = 0;
    auto run_reference = [&] { a = measure([&] { chunks = reference(server.url(), streams, open); }); };
    auto run_ours = [&] { b = measure([&] { chunks = through_actors(system, provider, streams, open); }); };
    auto check = [&] {
      if (chunks != streams * chunks_per_stream)
        die("chunks were lost: " + std::to_string(chunks));
    };
    if (i % 2 == 0) { // in turn, so that neither always follows the other
      run_reference();
      check();
    }
    run_ours();
    check();
    if (i % 2 == 1) {
      run_reference();
      check();
    }
    if (i == 0)
      continue;
    auto n = static_cast<double>(streams * chunks_per_stream);
    ratios.push_back(a.seconds / b.seconds);
    cpu_ratios.push_back(b.cpu / a.cpu);
    std::printf("round %zu: reference %8.0f chunks/s %5.2f us CPU each; modelforge %8.0f chunks/s %5.2f us CPU each; "
                "ratio %.2f\n",
                i, n / a.seconds, a.cpu / n * 1e6, n / b.seconds, b.cpu / n * 1e6, a.seconds / b.seconds);
  }
  std::printf("chunks a second beside the hand-written loop: median %.2f x, from %.2f to %.2f; CPU per chunk: median "
              "%.2f x\n",
              quantile(ratios, 0.5), quantile(ratios, 0), quantile(ratios, 1), quantile(cpu_ratios, 0.5));
  caf::anon_send_exit(provider, caf::exit_reason::user_shutdown);
}
