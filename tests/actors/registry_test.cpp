#include <modelforge/actors/registry.hpp>

#include "tools/simulator/simulator.hpp"

#include <modelforge/actors/system.hpp>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/init_global_meta_objects.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

/// A message of the host's own.
struct registry_test_word {
  std::string text;
};

template <class Inspector>
bool inspect(Inspector& f, registry_test_word& x) {
  return f.object(x).fields(f.field("text", x.text));
}

CAF_BEGIN_TYPE_ID_BLOCK(registry_test_host, caf::first_custom_type_id)
CAF_ADD_TYPE_ID(registry_test_host, (registry_test_word))
CAF_END_TYPE_ID_BLOCK(registry_test_host)

namespace modelforge::registry_test {

using namespace std::chrono_literals;

namespace {

/// An actor system whose host has message types of its own and registers ours twice.
class host {
public:
  host() : system_(config_) {}

  ~host() {
    if (registry_ != nullptr)
      caf::anon_send_exit(registry_, caf::exit_reason::user_shutdown);
  }

  caf::actor_system& system() { return system_; }

  const registry_actor& registry(const settings& x) {
    return registry_ = std::get<registry_actor>(spawn_registry(system_, x));
  }

  /// Asks and waits.
  template <class T, class Handle, class... Ts>
  std::variant<T, failure> ask(const Handle& to, Ts... xs) {
    caf::scoped_actor self{system_};
    std::variant<T, failure> result;
    self->request(to, 20s, std::move(xs)...)
      .receive([&](T& x) { result = std::move(x); }, [&](const caf::error& x) { result = failure_of(x); });
    return result;
  }

  /// Has the registry drain; the failure that came, if one did.
  std::optional<failure> drain(caf::timespan grace) {
    caf::scoped_actor self{system_};
    std::optional<failure> result;
    self->request(registry_, 20s, drain_atom_v, grace)
      .receive([] {}, [&](const caf::error& x) { result = failure_of(x); });
    return result;
  }

private:
  struct types {
    types() {
      init_types();
      caf::init_global_meta_objects<caf::id_block::registry_test_host>();
      init_types();
    }
  };

  struct config : caf::actor_system_config {
    config() { apply(runtime_settings{}, *this); }
  };

  types types_; // before the configuration object
  config config_;
  caf::actor_system system_;
  registry_actor registry_;
};

settings two_before(const std::string& url) {
  settings x;
  x.runtime.state_folder = "none";
  for (auto* name : {"main", "local"}) {
    auto& provider = x.providers.emplace_back();
    provider.name = name;
    provider.kind = provider_kind::openai_compatible;
    provider.base_url = url + "/v1";
    provider.default_model = name;
  }
  return x;
}

chat_request question() {
  chat_request x;
  x.messages.push_back(text_message(role::user, "What is 12 + 30?"));
  return x;
}

} // namespace

TEST_CASE("the registry finds providers by name, and tells the known ones", "[registry]") {
  simulator::server server{simulator::options{}};
  host here;
  auto& registry = here.registry(two_before(server.url()));
  CHECK(std::get<provider_names>(here.ask<provider_names>(registry, names_atom_v)).names
        == std::vector<std::string>{"main", "local"});
  for (auto& [name, model] : {std::pair{"", "main"}, std::pair{"main", "main"}, std::pair{"local", "local"}}) {
    auto provider = std::get<provider_actor>(here.ask<provider_actor>(registry, caf::get_atom_v, std::string{name}));
    CHECK(std::get<completion>(here.ask<completion>(provider, question())).model == model);
  }
  auto unknown = std::get<failure>(here.ask<provider_actor>(registry, caf::get_atom_v, std::string{"third"}));
  CHECK(unknown.code == errc::invalid_request);
  CHECK(unknown.message.find("third") != std::string::npos);
  CHECK(unknown.suggestion.find("main, local") != std::string::npos);
}

TEST_CASE("draining the registry drains all providers, and its end is theirs", "[registry]") {
  simulator::options slow;
  slow.latency = 20s;
  simulator::server server{slow};
  host here;
  auto registry = here.registry(two_before(server.url()));
  auto find = [&](const char* name) {
    return std::get<provider_actor>(here.ask<provider_actor>(registry, caf::get_atom_v, std::string{name}));
  };
  auto first = find("main"), second = find("local");
  caf::scoped_actor self{here.system()};
  auto running = self->request(first, 20s, question());
  CHECK_FALSE(here.drain(10ms));
  running.receive([](completion&) { FAIL("20 s have not gone by"); },
                  [](const caf::error& x) { CHECK(failure_of(x).code == errc::cancelled); });
  for (auto& provider : {first, second})
    CHECK(std::get<failure>(here.ask<completion>(provider, question())).code == errc::draining);
  CHECK_FALSE(here.drain(10ms)); // again: nothing is left
  caf::anon_send_exit(registry, caf::exit_reason::user_shutdown);
  self->wait_for(registry, first, second);
}

TEST_CASE("settings that are wrong spawn nothing and say what is wrong", "[registry]") {
  host here;
  auto wrong = two_before("http://127.0.0.1:1");
  wrong.providers[1].base_url = "nonsense";
  auto why = std::get<failure>(spawn_registry(here.system(), wrong));
  CHECK(why.code == errc::configuration);
  CHECK(why.message.find("base_url") != std::string::npos);
  wrong = two_before("http://127.0.0.1:1");
  wrong.providers[1].keys.push_back({"k", "MODELFORGE_NO_SUCH_KEY", {}});
  CHECK(std::get<failure>(spawn_registry(here.system(), wrong)).code == errc::configuration);
  settings none;
  auto& registry = here.registry(none);
  CHECK(std::get<failure>(here.ask<provider_actor>(registry, caf::get_atom_v, std::string{})).suggestion
        == "none is configured");
  CHECK_FALSE(here.drain(1s));
}

TEST_CASE("a host's own messages travel beside ours", "[registry]") {
  host here;
  auto echo = here.system().spawn([](caf::event_based_actor*) -> caf::behavior {
    return {[](registry_test_word& x) { return registry_test_word{x.text + x.text}; }};
  });
  CHECK(std::get<registry_test_word>(here.ask<registry_test_word>(echo, registry_test_word{"ho"})).text == "hoho");
  CHECK(caf::type_id_v<registry_test_word> < first_type_id);
}

} // namespace modelforge::registry_test
