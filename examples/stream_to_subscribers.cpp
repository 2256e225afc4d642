/// One streamed answer, two subscriber actors of different speed: one prints pieces as they come, the other counts
/// words and takes a rest after each chunk. The stream waits for neither of them more than it must.
///
/// Runs without a key: a simulated provider is started inside this program.

#include <modelforge/actors/provider.hpp>
#include <modelforge/actors/system.hpp>

#include "tools/simulator/simulator.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <chrono>
#include <cstdio>
#include <future>
#include <memory>

using namespace modelforge;
using namespace std::chrono_literals;

namespace {

/// Prints what comes, at once. `ended` is told when the stream has ended.
stream_subscriber_actor::behavior_type printer(stream_subscriber_actor::pointer self,
                                               std::shared_ptr<std::promise<bool>> ended) {
  return {
    [=](const stream_chunk& chunk) {
      std::printf("%s", text_of(chunk).c_str());
      std::fflush(stdout);
      // Each grant allows one more chunk: without grants the stream, and the provider behind it, wait.
      self->send(caf::actor_cast<stream_session_actor>(self->current_sender()), grant_atom_v, 1u);
    },
    [=](const stream_done& done) {
      std::printf("\n(first token after %.1f ms, %llu pieces)\n",
                  std::chrono::duration<double, std::milli>(done.first_token).count(),
                  static_cast<unsigned long long>(done.pieces));
      ended->set_value(true);
      self->quit();
    },
    [=](const stream_failed& failed) {
      std::fprintf(stderr, "\n%s\n", to_string(failed.why).c_str());
      ended->set_value(false);
      self->quit();
    },
  };
}

/// Counts characters, and needs 100 ms for each chunk. With `slow_policy::coalesce` the stream does not wait for it:
/// what it missed meanwhile comes in one piece.
stream_subscriber_actor::behavior_type counter(stream_subscriber_actor::pointer self,
                                               std::shared_ptr<std::promise<bool>> ended) {
  auto characters = std::make_shared<std::size_t>(0);
  auto chunks = std::make_shared<std::size_t>(0);
  return {
    [=](const stream_chunk& chunk) {
      *characters += text_of(chunk).size();
      ++*chunks;
      self->delayed_send(caf::actor_cast<stream_session_actor>(self->current_sender()), 100ms, grant_atom_v, 1u);
    },
    [=](const stream_done&) {
      std::printf("(the slow one took %zu bytes of text in %zu chunks)\n", *characters, *chunks);
      ended->set_value(true);
      self->quit();
    },
    [=](const stream_failed& failed) {
      std::fprintf(stderr, "the slow one: %s\n", to_string(failed.why).c_str());
      ended->set_value(false);
      self->quit();
    },
  };
}

} // namespace

int main() {
  simulator::options server;
  server.tokens_per_second = 60;
  simulator::server simulator{server};

  provider_settings demo;
  demo.name = "demo";
  demo.kind = provider_kind::openai_compatible;
  demo.base_url = simulator.url() + "/v1";
  demo.default_model = "simulated-mini";

  init_types();
  caf::actor_system_config config;
  apply(runtime_settings{}, config);
  caf::actor_system system{config};
  auto spawned = spawn_provider(system, demo, runtime_settings{}, make_transport());
  if (auto* problem = std::get_if<failure>(&spawned)) {
    std::fprintf(stderr, "%s\n", to_string(*problem).c_str());
    return 1;
  }
  auto provider = std::get<provider_actor>(std::move(spawned));

  auto first = std::make_shared<std::promise<bool>>();
  auto second = std::make_shared<std::promise<bool>>();
  auto quick = system.spawn(printer, first);
  auto slow = system.spawn(counter, second);

  // The first subscriber comes with the request; the answer is the stream's session, where others may join in. They get
  // everything from the beginning, or from the piece they name.
  stream_request request;
  request.chat.messages.push_back(text_message(role::user, "Tell me about rivers and mountains."));
  caf::scoped_actor self{system};
  stream_session_actor session;
  self->request(provider, caf::infinite, request, quick)
    .receive([&](const stream_session_actor& x) { session = x; },
             [](const caf::error& error) { std::fprintf(stderr, "%s\n", to_string(failure_of(error)).c_str()); });
  if (session == nullptr)
    return 1;
  subscription as;
  as.when_slow = slow_policy::coalesce;
  as.demand = 1;
  self->request(session, caf::infinite, subscribe_atom_v, slow, as)
    .receive([] {},
             [&](const caf::error& error) {
               std::fprintf(stderr, "%s\n", to_string(failure_of(error)).c_str());
               second->set_value(false);
             });

  auto good = first->get_future().get();
  good = second->get_future().get() && good;
  caf::anon_send_exit(provider, caf::exit_reason::user_shutdown);
  return good ? 0 : 1;
}
