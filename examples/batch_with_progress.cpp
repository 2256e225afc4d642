/// A batch from file to file: every line of a file is asked, a bar shows how it goes on, and a report tells what it
/// came to. Results are kept beside the output as they come: stop the program with Ctrl-C, start it again, and it goes
/// on with what is missing.
///
/// Usage: batch_with_progress [INPUT [OUTPUT]]. Runs without a key: a simulated provider is started inside this
/// program, and without INPUT forty prompts are made up.

#include <modelforge/actors/batch_coordinator.hpp>
#include <modelforge/actors/provider.hpp>
#include <modelforge/actors/system.hpp>

#include "tools/simulator/simulator.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>

using namespace modelforge;

namespace {

/// Draws a bar; the coordinator sends figures up to ten times a second. What is counted here is safe.
batch_observer_actor::behavior_type bar(batch_observer_actor::pointer) {
  return {
    [](const batch_progress& x) {
      auto done = x.answered + x.failed;
      auto total = x.total.value_or(done + x.in_flight); // not known before the input has been read to its end
      auto filled = total > 0 ? done * 30 / total : 0;
      std::fprintf(stderr, "\r[%s%s] %llu of %llu, %llu failed, %llu tokens, %.1f/s", std::string(filled, '#').c_str(),
                   std::string(30 - filled, '.').c_str(), static_cast<unsigned long long>(done),
                   static_cast<unsigned long long>(total), static_cast<unsigned long long>(x.failed),
                   static_cast<unsigned long long>(x.usage.input + x.usage.output), x.rate());
      if (x.finished)
        std::fputc('\n', stderr);
    },
  };
}

/// A folder of our own for what is made up; gone with this object.
class scratch_folder {
public:
  scratch_folder() { std::filesystem::create_directory(path_); }

  ~scratch_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  scratch_folder(const scratch_folder&) = delete;
  scratch_folder& operator=(const scratch_folder&) = delete;

  std::string prompts() const {
    std::ofstream to{path_ / "prompts.txt"};
    for (int i = 1; i <= 40; ++i)
      to << "Give me a name for the river number " << i << "\n";
    return path_ / "prompts.txt";
  }

private:
  std::filesystem::path path_ =
    std::filesystem::temp_directory_path() / ("modelforge-example-" + std::to_string(getpid()));
};

void print_first_line(const std::string& path) {
  std::ifstream in{path};
  std::string line;
  std::getline(in, line);
  std::printf("the first of the results: %.120s...\n", line.c_str());
}

} // namespace

int main(int argc, char** argv) {
  simulator::options behaviour;
  behaviour.latency = std::chrono::milliseconds{50};
  simulator::server server{behaviour};

  init_types(); // once per program, before its actor system
  caf::actor_system_config config;
  caf::actor_system system{config};

  provider_settings settings;
  settings.name = "simulated";
  settings.kind = provider_kind::openai_compatible;
  settings.base_url = server.url() + "/v1";
  settings.default_model = "simulated-mini";
  settings.price = {.input = 0.5, .output = 2.0}; // a million tokens
  auto provider = spawn_provider(system, settings, {}, make_transport());
  if (auto* problem = std::get_if<failure>(&provider)) {
    std::fprintf(stderr, "%s\n", to_string(*problem).c_str());
    return 2;
  }

  scratch_folder scratch;
  batch_options options;
  options.input = argc > 1 ? argv[1] : scratch.prompts();
  options.output = argc > 2 ? argv[2] : options.input + ".answers.jsonl";
  options.max_concurrent = 0; // as many as the provider sends at a time
  auto batch = spawn_batch(system, std::get<provider_actor>(provider), options);
  if (auto* problem = std::get_if<failure>(&batch)) {
    std::fprintf(stderr, "%s\n", to_string(*problem).c_str());
    return 2;
  }
  auto coordinator = std::get<batch_coordinator_actor>(batch);

  auto code = 1;
  caf::scoped_actor self{system};
  self->send(coordinator, observe_atom_v, system.spawn(bar));
  self->request(coordinator, caf::infinite, run_atom_v)
    .receive(
      [&](const batch_report& x) {
        for (auto& share : x.shares)
          std::printf("%s: %llu answered, %llu failed, cost %.5f\n", share.provider.c_str(),
                      static_cast<unsigned long long>(share.answered), static_cast<unsigned long long>(share.failed),
                      share.cost.value_or(0));
        if (x.stopped_by)
          std::fprintf(stderr, "%s\n", to_string(*x.stopped_by).c_str());
        std::printf("results: %s\n", x.results.c_str());
        print_first_line(x.results);
        code = x.stopped_by || x.failed > 0 ? 1 : 0;
      },
      [](const caf::error& x) { std::fprintf(stderr, "%s\n", to_string(failure_of(x)).c_str()); });
  caf::anon_send_exit(std::get<provider_actor>(provider), caf::exit_reason::user_shutdown);
  return code;
}
