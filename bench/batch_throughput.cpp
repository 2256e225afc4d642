/// Batch throughput beside a hand-written loop: how much do actors, queue, file reading and writing cost?
///
/// Both send the same prompts to the same nginx, with the same number in flight, in turn and in one run:
///  - reference: one thread, libcurl's multi interface with curl_multi_poll, each body parsed by nlohmann_json;
///  - modelforge: a provider actor and a batch coordinator, from a file of prompts to a file of results.
///
/// Usage: batch_throughput [PROMPTS=10000] [IN_FLIGHT=64] [ROUNDS=5]. Prints a line a round and the median ratio.

#include "bench/measure.hpp"
#include "bench/nginx.hpp"

#include <modelforge/actors/batch_coordinator.hpp>
#include <modelforge/actors/provider.hpp>
#include <modelforge/actors/system.hpp>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <curl/curl.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace {

using namespace modelforge;
using namespace modelforge::bench;

constexpr auto body =
  R"({"id":"chatcmpl-1","object":"chat.completion","created":1790000000,"model":"demo-mini",)"
  R"("choices":[{"index":0,"message":{"role":"assistant","content":"The sky looks blue because the )"
  R"(molecules of the air scatter short waves of sunlight far more than long ones, so that blue )"
  R"(light reaches the eye from every direction, while red and yellow light mostly passes straight )"
  R"(through. At sunset the light's way through the air is so long that most of the blue has been )"
  R"(scattered out of it, and what is left looks orange and red.","refusal":null},)"
  R"("logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":14,"completion_tokens":82,)"
  R"("total_tokens":96,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},)"
  R"("completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,)"
  R"("accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},"service_tier":"default",)"
  R"("system_fingerprint":"fp_demo"})";

// -- the reference ----------------------------------------------------------------

struct transfer {
  CURL* easy;
  std::string request;
  std::string answer;
};

std::size_t append(char* data, std::size_t, std::size_t size, void* to) {
  static_cast<std::string*>(to)->append(data, size);
  return size;
}

void reference(const std::string& url, std::size_t prompts, std::size_t in_flight) {
  auto* multi = curl_multi_init();
  auto* headers = curl_slist_append(nullptr, "Content-Type: application/json");
  headers = curl_slist_append(headers, "Authorization: Bearer none");
  std::vector<transfer> transfers(in_flight);
  std::size_t started = 0;
  std::size_t ended = 0;
  std::size_t tokens = 0;
  auto start = [&](transfer& x) {
    x.request = R"({"model":"demo-mini","messages":[{"role":"user","content":"prompt number )"
                + std::to_string(started++) + R"(: why is the sky blue?"}]})";
    x.answer.clear();
    curl_easy_setopt(x.easy, CURLOPT_POSTFIELDS, x.request.c_str());
    curl_easy_setopt(x.easy, CURLOPT_POSTFIELDSIZE, static_cast<long>(x.request.size()));
    curl_multi_add_handle(multi, x.easy);
  };
  for (auto& x : transfers) {
    x.easy = curl_easy_init();
    curl_easy_setopt(x.easy, CURLOPT_URL, (url + "/v1/chat/completions").c_str());
    curl_easy_setopt(x.easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(x.easy, CURLOPT_WRITEFUNCTION, append);
    curl_easy_setopt(x.easy, CURLOPT_WRITEDATA, &x.answer);
    curl_easy_setopt(x.easy, CURLOPT_PRIVATE, &x);
    curl_easy_setopt(x.easy, CURLOPT_NOSIGNAL, 1L); // else libcurl sets signal handlers again and again
    if (started < prompts)
      start(x);
  }
  while (ended < prompts) {
    int running = 0;
    curl_multi_perform(multi, &running);
    int left = 0;
    while (auto* message = curl_multi_info_read(multi, &left)) {
      transfer* x = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &x);
      if (message->data.result != CURLE_OK)
        die("the reference failed: " + std::string{curl_easy_strerror(message->data.result)});
      auto json = nlohmann::json::parse(x->answer);
      if (json["choices"][0]["message"]["content"].get_ref<const std::string&>().empty())
        die("the reference got an empty answer");
      tokens += json["usage"]["total_tokens"].get<std::size_t>();
      curl_multi_remove_handle(multi, x->easy);
      ++ended;
      if (started < prompts)
        start(*x);
    }
    if (ended < prompts)
      curl_multi_poll(multi, nullptr, 0, 1000, nullptr);
  }
  if (tokens != 96 * prompts)
    die("the reference miscounted");
  for (auto& x : transfers)
    curl_easy_cleanup(x.easy);
  curl_slist_free_all(headers);
  curl_multi_cleanup(multi);
}

// -- modelforge -------------------------------------------------------------------

void through_actors(caf::actor_system& system, const provider_actor& provider, const batch_options& options,
                    std::size_t prompts) {
  auto coordinator = spawn_batch(system, provider, options);
  if (auto* problem = std::get_if<failure>(&coordinator))
    die(to_string(*problem));
  caf::scoped_actor self{system};
  self->request(std::get<batch_coordinator_actor>(coordinator), caf::infinite, run_atom_v)
    .receive(
      [&](const batch_report& x) {
        if (x.answered != prompts)
          die(std::to_string(x.failed) + " items failed; see " + options.output);
      },
      [](const caf::error& x) { die(to_string(failure_of(x))); });
}

} // namespace

int main(int argc, char** argv) {
  auto prompts = argument(argc, argv, 1, 10'000);
  auto in_flight = argument(argc, argv, 2, 64);
  auto rounds = argument(argc, argv, 3, 5);
  curl_global_init(CURL_GLOBAL_DEFAULT);
  nginx server{{.body = body}};

  auto folder = std::filesystem::temp_directory_path() / ("modelforge-bench-" + std::to_string(getpid()));
  std::filesystem::create_directory(folder);
  {
    std::ofstream input{folder / "prompts.txt"};
    for (std::size_t i = 0; i < prompts; ++i)
      input << "prompt number " << i << ": why is the sky blue?\n";
  }
  init_types();
  caf::actor_system_config config;
  settings settings;
  apply(settings.runtime, config);
  caf::actor_system system{config};
  auto& target = settings.providers.emplace_back();
  target.name = "nginx";
  target.kind = provider_kind::openai_compatible;
  target.base_url = server.url() + "/v1";
  target.default_model = "demo-mini";
  target.max_concurrent = static_cast<uint32_t>(in_flight);
  target.interactive_slots = 0;
  auto spawned = spawn_provider(system, target, settings.runtime, make_transport());
  if (auto* problem = std::get_if<failure>(&spawned))
    die(to_string(*problem));
  auto provider = std::get<provider_actor>(std::move(spawned));
  batch_options options;
  options.input = folder / "prompts.txt";
  options.output = folder / "answers.jsonl";
  options.max_concurrent = static_cast<uint32_t>(in_flight);
  options.fresh = true;

  std::printf("%zu prompts, %zu in flight, %zu rounds\n", prompts, in_flight, rounds);
  std::vector<double> ratios;
  std::vector<double> cpu_ratios;
  for (std::size_t i = 0; i <= rounds; ++i) { // round 0 warms up
    cost a;
    cost b;
    auto run_reference = [&] { a = measure([&] { reference(server.url(), prompts, in_flight); }); };
    auto run_ours = [&] { b = measure([&] { through_actors(system, provider, options, prompts); }); };
    if (i % 2 == 0) // in turn, so that neither always follows the other
      run_reference();
    run_ours();
    if (i % 2 == 1)
      run_reference();
    if (i == 0)
      continue;
    auto n = static_cast<double>(prompts);
    ratios.push_back(a.seconds / b.seconds);
    cpu_ratios.push_back(b.cpu / a.cpu);
    std::printf("round %zu: reference %6.0f/s %5.1f us CPU each; modelforge %6.0f/s %5.1f us CPU each; ratio %.2f\n", i,
                n / a.seconds, a.cpu / n * 1e6, n / b.seconds, b.cpu / n * 1e6, a.seconds / b.seconds);
  }
  std::printf("throughput beside the hand-written loop (1.0 is par): median %.2f, from %.2f to %.2f; CPU per request: "
              "median %.2f x\n",
              quantile(ratios, 0.5), quantile(ratios, 0), quantile(ratios, 1), quantile(cpu_ratios, 0.5));
  caf::anon_send_exit(provider, caf::exit_reason::user_shutdown);
  std::filesystem::remove_all(folder);
}
