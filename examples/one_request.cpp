/// Asks one question through a provider actor and prints the answer.
///
/// Runs without a key: a simulated provider is started inside this program. To ask a real one, leave the simulator out
/// and set `kind`, `api_key_env` (see config/example.toml) and `default_model` instead of `base_url`.

#include <modelforge/actors/provider.hpp>
#include <modelforge/actors/system.hpp>

#include "tools/simulator/simulator.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <cstdio>

int main() {
  using namespace modelforge;
  simulator::server simulator{{}};

  // What a configuration file would say under [providers.demo].
  settings settings;
  auto& demo = settings.providers.emplace_back();
  demo.name = "demo";
  demo.kind = provider_kind::openai_compatible;
  demo.base_url = simulator.url() + "/v1";
  demo.default_model = "simulated-mini";

  // The actor system: ours needs its message types registered before the configuration object is made.
  init_types();
  caf::actor_system_config config;
  apply(settings.runtime, config);
  caf::actor_system system{config};

  // The provider actor: it owns everything that belongs to this provider.
  auto spawned = spawn_provider(system, demo, settings.runtime, make_transport());
  if (auto* problem = std::get_if<failure>(&spawned)) {
    std::fprintf(stderr, "%s\n", to_string(*problem).c_str());
    return 1;
  }
  auto provider = std::get<provider_actor>(std::move(spawned));

  // One question, one answer: a completion, or an error that says what happened and what to do.
  // (CAF 1.x prefers the spelling self->mail(request).request(provider, caf::infinite).)
  chat_request request;
  request.messages.push_back(text_message(role::user, "Why is the sky blue?"));
  int status = 1;
  caf::scoped_actor self{system};
  self->request(provider, caf::infinite, request)
    .receive(
      [&](const completion& answer) {
        std::printf("%s\n", answer.text.c_str());
        if (answer.usage)
          std::printf("(%llu tokens in, %llu out)\n", static_cast<unsigned long long>(answer.usage->input),
                      static_cast<unsigned long long>(answer.usage->output));
        status = 0;
      },
      [](const caf::error& error) { std::fprintf(stderr, "%s\n", to_string(failure_of(error)).c_str()); });

  // Nothing is in flight here. In general: an exit message stops what still runs, so that the system need not wait.
  caf::anon_send_exit(provider, caf::exit_reason::user_shutdown);
  return status;
}
