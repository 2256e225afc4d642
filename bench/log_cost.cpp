/// What logs and traces cost: the same batch, without a log, with one to a file from `info` on, with an access log to
/// another file beside it, with one at `debug`, and without a log but with traces of all requests, in turn and in one
/// run, against the same nginx, which stands for the collector, too.
///
/// Usage: log_cost [PROMPTS=10000] [IN_FLIGHT=64] [ROUNDS=9]. Prints a line a round and the median ratios.

#include "bench/measure.hpp"
#include "bench/nginx.hpp"

#include <modelforge/actors/runtime.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <unistd.h>
#include <vector>

namespace {

using namespace modelforge;
using namespace modelforge::bench;

constexpr auto body = R"({"id":"chatcmpl-1","object":"chat.completion","created":1790000000,"model":"demo-mini",)"
                      R"("choices":[{"index":0,"message":{"role":"assistant","content":"The sky looks blue."},)"
                      R"("finish_reason":"stop"}],"usage":{"prompt_tokens":14,"completion_tokens":82}})";

settings settings_for(const std::string& url, std::size_t in_flight) {
  settings result;
  result.runtime.state_folder = "none";
  auto& target = result.providers.emplace_back();
  target.name = "nginx";
  target.kind = provider_kind::openai_compatible;
  target.base_url = url + "/v1";
  target.default_model = "demo-mini";
  target.max_concurrent = static_cast<uint32_t>(in_flight);
  target.interactive_slots = 0;
  return result;
}

void run(runtime& ai, const batch_options& options, std::size_t prompts) {
  auto report = ai.batch(options);
  if (!report)
    die(to_string(report.error()));
  if (report->answered != prompts)
    die(std::to_string(report->failed) + " items failed; see " + options.output);
}

} // namespace

int main(int argc, char** argv) {
  auto prompts = argument(argc, argv, 1, 10'000);
  auto in_flight = argument(argc, argv, 2, 64);
  auto rounds = argument(argc, argv, 3, 9);
  nginx server{{.body = body}};
  auto folder = std::filesystem::temp_directory_path() / ("modelforge-bench-" + std::to_string(getpid()));
  std::filesystem::create_directory(folder);
  {
    std::ofstream input{folder / "prompts.txt"};
    for (std::size_t i = 0; i < prompts; ++i)
      input << "prompt number " << i << ": why is the sky blue?\n";
  }
  batch_options options;
  options.input = folder / "prompts.txt";
  options.output = folder / "answers.jsonl";
  options.max_concurrent = static_cast<uint32_t>(in_flight);
  options.fresh = true;

  std::array<std::unique_ptr<runtime>, 5> programs;
  const std::array<const char*, 5> names{"none", "info", "info+access", "debug", "traces"};
  for (std::size_t i = 0; i < programs.size(); ++i) {
    auto all = settings_for(server.url(), in_flight);
    all.log.sink = i == 0 || i == 4 ? "none" : folder / names[i];
    all.log.level = i == 3 ? log_level::debug : log_level::info;
    all.log.access = i == 2 ? folder / "access" : "none";
    all.telemetry.otlp = i == 4 ? server.url() : "";
    programs[i] = std::make_unique<runtime>(all);
  }
  std::printf("%zu prompts, %zu in flight, %zu rounds\n", prompts, in_flight, rounds);
  std::array<std::vector<double>, 5> speeds, loads;
  for (std::size_t round = 0; round <= rounds; ++round) { // round 0 warms up
    std::array<cost, 5> costs;
    for (std::size_t k = 0; k < programs.size(); ++k) { // in turn, so that none always follows the same one
      auto i = (k + round) % programs.size();
      costs[i] = measure([&] { run(*programs[i], options, prompts); });
    }
    if (round == 0)
      continue;
    auto n = static_cast<double>(prompts);
    std::printf("round %zu:", round);
    for (std::size_t i = 0; i < programs.size(); ++i) {
      speeds[i].push_back(costs[0].seconds / costs[i].seconds);
      loads[i].push_back(costs[i].cpu / costs[0].cpu);
      std::printf(" %s %6.0f/s %5.1f us CPU each%s", names[i], n / costs[i].seconds, costs[i].cpu / n * 1e6,
                  i + 1 < programs.size() ? ";" : "\n");
    }
  }
  for (std::size_t i = 1; i < programs.size(); ++i)
    std::printf("throughput with %s beside none (1.0 is par): median %.3f, from %.3f to %.3f; CPU: median %.3f x\n",
                names[i], quantile(speeds[i], 0.5), quantile(speeds[i], 0), quantile(speeds[i], 1),
                quantile(loads[i], 0.5));
  for (auto& each : programs)
    each.reset();
  std::filesystem::remove_all(folder);
}
