#include "actors/errand_boy.hpp"
#include "config/settings.hpp"
#include "messages/type_ids.hpp"

#include <modelforge/actors/batch_coordinator.hpp>
#include <modelforge/actors/metrics.hpp>
#include <modelforge/actors/provider.hpp>
#include <modelforge/actors/system.hpp>
#include <modelforge/actors/text_stream.hpp>
#include <modelforge/config/load.hpp>
#include <modelforge/optimize/optimizer.hpp>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/init_global_meta_objects.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <cstdio>

/// Asks the provider at argv[1] through an actor of the host's, whole and streamed, and prints the answers.
int main(int argc, char** argv) {
  if (argc < 2)
    return 2;
  modelforge::init_types();
  caf::init_global_meta_objects<caf::id_block::host>();
  modelforge::init_types(); // again: safe
  modelforge::settings settings;
  settings.runtime.state_folder = "none";
  auto& main = settings.providers.emplace_back();
  main.name = "main";
  main.kind = modelforge::provider_kind::openai_compatible;
  main.base_url = argv[1];
  main.default_model = "m";
  caf::actor_system_config config;
  modelforge::apply(settings.runtime, config);
  caf::actor_system system{config};
  auto spawned = modelforge::spawn_provider(system, main, settings.runtime, modelforge::make_transport());
  if (auto* problem = std::get_if<modelforge::failure>(&spawned)) {
    std::fprintf(stderr, "%s\n", to_string(*problem).c_str());
    return 1;
  }
  auto provider = std::get<modelforge::provider_actor>(std::move(spawned));
  auto status = 1;
  {
    caf::scoped_actor self{system};
    self->request(system.spawn(errand_boy, provider), caf::infinite, errand{host_settings{}.greeting})
      .receive(
        [&](const std::string& text) {
          std::printf("%s\n", text.c_str());
          status = 0;
        },
        [](const caf::error& error) {
          std::fprintf(stderr, "%s\n", to_string(modelforge::failure_of(error)).c_str());
        });
    for (auto& text : modelforge::stream_text(system, provider, host_settings{}.greeting))
      std::printf("%s", text.c_str());
    std::printf("\n");
  }
  caf::anon_send_exit(provider, caf::exit_reason::user_shutdown);
  return status;
}
