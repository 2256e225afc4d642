/// What a large batch takes: memory over the run, and whether later items cost more than earlier ones.
///
/// Usage: batch_size [ITEMS=100000] [IN_FLIGHT=64]. All go to an nginx that answers at once; the ledger is on.

#include "bench/measure.hpp"
#include "bench/nginx.hpp"

#include <modelforge/actors/batch_coordinator.hpp>
#include <modelforge/actors/provider.hpp>
#include <modelforge/actors/system.hpp>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>
#include <vector>

using namespace modelforge;

namespace {

constexpr auto body =
  R"({"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"demo-mini","choices":[{"index":0,"message":)"
  R"({"role":"assistant","content":"The sky is blue because air scatters short waves of light more than long ones, so )"
  R"(blue light reaches us from everywhere."},"finish_reason":"stop"}],"usage":{"prompt_tokens":16,)"
  R"("completion_tokens":24,"total_tokens":40}})";

struct sample {
  uint64_t items;
  double cpu;
  std::size_t resident;
};

} // namespace

int main(int argc, char** argv) {
  auto items = bench::argument(argc, argv, 1, 100'000);
  auto in_flight = bench::argument(argc, argv, 2, 64);
  bench::nginx server{{.body = body}};
  auto folder = std::filesystem::temp_directory_path() / ("modelforge-bench-" + std::to_string(getpid()));
  std::filesystem::create_directory(folder);
  {
    std::ofstream input{folder / "prompts.jsonl"};
    for (uint64_t i = 0; i < items; ++i)
      input << R"({"id":"row-)" << i << R"(","prompt":"why is the sky blue at place )" << i << "?\"}\n";
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
  auto provider = std::get<provider_actor>(spawn_provider(system, target, settings.runtime, make_transport()));
  batch_options options;
  options.input = folder / "prompts.jsonl";
  options.output = folder / "answers.jsonl";
  options.max_concurrent = static_cast<uint32_t>(in_flight);

  std::vector<sample> samples;
  samples.reserve(1'000'000);
  auto coordinator = std::get<batch_coordinator_actor>(spawn_batch(system, provider, options));
  auto observer = system.spawn([&](batch_observer_actor::pointer) -> batch_observer_actor::behavior_type {
    return {[&](const batch_progress& x) {
      samples.push_back({x.answered + x.failed, bench::cpu_seconds(), bench::resident_bytes()});
    }};
  });
  caf::anon_send(coordinator, observe_atom_v, observer);
  auto begin = std::chrono::steady_clock::now();
  batch_report report;
  {
    caf::scoped_actor self{system};
    self->request(coordinator, caf::infinite, run_atom_v)
      .receive([&](const batch_report& x) { report = x; }, [](const caf::error&) {});
  }
  auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf("%lu of %lu items answered in %.1f s (%.0f/s), %lu in flight\n", report.answered, items, seconds,
              static_cast<double>(items) / seconds, in_flight);
  auto at = [&](uint64_t count) {
    auto i = std::lower_bound(samples.begin(), samples.end(), count, [](auto& x, auto y) { return x.items < y; });
    return i == samples.end() ? samples.back() : *i;
  };
  for (uint64_t tenth = 1; tenth <= 10; ++tenth) {
    auto x = at(items / 10 * tenth);
    std::printf("  after %8lu: %6.1f MiB\n", x.items, static_cast<double>(x.resident) / (1 << 20));
  }
  auto most =
    std::max_element(samples.begin(), samples.end(), [](auto& x, auto& y) { return x.resident < y.resident; });
  std::printf("at most %.1f MiB\n", static_cast<double>(most->resident) / (1 << 20));
  auto part = std::min<uint64_t>(10'000, items / 4);
  auto cost = [&](uint64_t from, uint64_t to) {
    auto x = at(from);
    auto y = at(to);
    return (y.cpu - x.cpu) / static_cast<double>(std::max<uint64_t>(1, y.items - x.items)) * 1e6;
  };
  auto first = cost(part / 4, part); // without the start
  auto last = cost(items - part, items - part / 4);
  std::printf("CPU for an item: %.1f us among the first %lu, %.1f us among the last, ratio %.2f\n", first, part, last,
              last / first);
  caf::anon_send_exit(observer, caf::exit_reason::user_shutdown);
  caf::anon_send_exit(provider, caf::exit_reason::user_shutdown);
  std::filesystem::remove_all(folder);
}
