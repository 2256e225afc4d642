/// A host that is a CAF program: its own actor with its own messages has a provider answer, found by name in the
/// registry that it spawned into its own actor system.
///
/// Runs without a key: a simulated provider is started inside this program.

#include <modelforge/actors/registry.hpp>
#include <modelforge/actors/system.hpp>

#include "tools/simulator/simulator.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/init_global_meta_objects.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <chrono>
#include <cstdio>
#include <string>

/// The host's own message.
struct ticket {
  uint32_t number = 0;
  std::string text;
};

template <class Inspector>
bool inspect(Inspector& f, ticket& x) {
  return f.object(x).fields(f.field("number", x.number), f.field("text", x.text));
}

// Type ids of the host's own, from where CAF lets hosts begin: ours are far behind them.
CAF_BEGIN_TYPE_ID_BLOCK(help_desk, caf::first_custom_type_id)
CAF_ADD_TYPE_ID(help_desk, (ticket))
CAF_END_TYPE_ID_BLOCK(help_desk)

namespace {

/// Answers tickets with what a provider says. Never waits: many tickets are under way at once.
caf::behavior clerk(caf::event_based_actor* self, modelforge::provider_actor provider) {
  return {
    [=](const ticket& x) {
      modelforge::chat_request request;
      request.messages.push_back(modelforge::text_message(modelforge::role::user, x.text));
      auto promise = self->make_response_promise();
      self->request(provider, caf::infinite, request)
        .then(
          [=](const modelforge::completion& answer) mutable {
            promise.deliver(ticket{x.number, answer.text});
          },
          [=](const caf::error& error) mutable { promise.deliver(error); });
      return promise;
    },
  };
}

bool failed(const modelforge::failure& why) {
  std::fprintf(stderr, "%s\n", to_string(why).c_str());
  return false;
}

} // namespace

int main() {
  modelforge::simulator::server simulator{{}};
  modelforge::settings settings; // or: *modelforge::load_file("modelforge.toml").value
  auto& demo = settings.providers.emplace_back();
  demo.name = "demo";
  demo.kind = modelforge::provider_kind::openai_compatible;
  demo.base_url = simulator.url() + "/v1";
  demo.default_model = "simulated-mini";

  // Both blocks of message types, in any order, before the configuration object.
  caf::init_global_meta_objects<::caf::id_block::help_desk>();
  modelforge::init_types();
  caf::actor_system_config config;
  modelforge::apply(settings.runtime, config);
  caf::actor_system system{config};

  auto spawned = modelforge::spawn_registry(system, settings);
  if (auto* problem = std::get_if<modelforge::failure>(&spawned))
    return failed(*problem), 1;
  auto registry = std::get<modelforge::registry_actor>(std::move(spawned));

  // A provider by its name. A name that is unknown is an error that lists the known ones.
  caf::scoped_actor self{system};
  auto good = true;
  modelforge::provider_actor provider;
  self->request(registry, caf::infinite, caf::get_atom_v, std::string{"demo"})
    .receive([&](const modelforge::provider_actor& x) { provider = x; },
             [&](const caf::error& error) { good = failed(modelforge::failure_of(error)); });

  if (good) {
    auto desk = system.spawn(clerk, provider);
    for (uint32_t i = 1; i <= 3; ++i)
      self->request(desk, caf::infinite, ticket{i, "What is " + std::to_string(i) + " * 7?"})
        .receive([](const ticket& x) { std::printf("%u: %s\n", x.number, x.text.c_str()); },
                 [&](const caf::error& error) { good = failed(modelforge::failure_of(error)); });
  }

  // The end: what runs may finish, for two seconds at most; then the providers go with the registry.
  self->request(registry, caf::infinite, modelforge::drain_atom_v, caf::timespan{std::chrono::seconds{2}})
    .receive([] {}, [&](const caf::error& error) { good = failed(modelforge::failure_of(error)); });
  caf::anon_send_exit(registry, caf::exit_reason::user_shutdown);
  return good ? 0 : 1;
}
