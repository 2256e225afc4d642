#include <modelforge/actors/runtime.hpp>

#include "actors/support/mail.hpp"
#include "tests/http/waiting.hpp"
#include "tests/support/settings.hpp"
#include "tools/simulator/simulator.hpp"

#include <modelforge/actors/registry.hpp>
#include <modelforge/actors/system.hpp>

#include <caf/actor_registry.hpp>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <stdexcept>
#include <string>

namespace modelforge::supervision_test {

using namespace std::chrono_literals;

namespace {

settings before(const simulator::server& server) {
  auto x = test::without_state();
  x.providers = {test::simulated_at(server.url())};
  return x;
}

/// A registry in an actor system of its own.
class host {
public:
  explicit host(const settings& x)
    : system_(configured(x)), registry_(std::get<registry_actor>(spawn_registry(system_, x))) {}

  ~host() { caf::anon_send_exit(registry_, caf::exit_reason::user_shutdown); }

  /// Asks the registry, until the answer is a provider other than `before`.
  provider_actor provider(const provider_actor& before = {}, const std::string& name = "main") {
    provider_actor result;
    test::eventually([&] {
      caf::scoped_actor self{system_};
      self->request(registry_, 20s, caf::get_atom_v, name)
        .receive([&](const provider_actor& x) { result = x; }, [&](const caf::error& x) { problem_ = failure_of(x); });
      return result != nullptr && result != before;
    });
    return result;
  }

  std::variant<completion, failure> chat(const provider_actor& to, std::optional<std::chrono::nanoseconds> deadline) {
    chat_request x;
    x.messages = {text_message(role::user, "What is 12 + 30?")};
    x.deadline = deadline;
    return ask<completion>(to, std::move(x));
  }

  provider_status status(const provider_actor& of) { return std::get<0>(ask<provider_status>(of, status_atom_v)); }

  const failure& problem() const { return problem_; }

  std::size_t running_actors() { return system_.registry().running(); }

private:
  template <class T, class... Ts>
  std::variant<T, failure> ask(const provider_actor& to, Ts... xs) {
    caf::scoped_actor self{system_};
    std::variant<T, failure> result;
    self->request(to, 20s, std::move(xs)...)
      .receive([&](T& x) { result = std::move(x); }, [&](const caf::error& x) { result = failure_of(x); });
    return result;
  }

  caf::actor_system_config& configured(const settings& x) {
    init_types();
    apply(x, config_);
    return config_;
  }

  caf::actor_system_config config_;
  caf::actor_system system_;
  registry_actor registry_;
  failure problem_;
};

void crash(const provider_actor& x) {
  post(x, [] { throw std::runtime_error{"a bug"}; });
}

} // namespace

TEST_CASE("a provider that ends by a bug is started again, keeps its limits, and tells", "[registry]") {
  simulator::server server{simulator::options{}};
  auto x = before(server);
  x.providers[0].rate_limit.requests_per_minute = 2;
  host here{x};
  auto first = here.provider();
  CHECK(std::holds_alternative<completion>(here.chat(first, {})));
  crash(first);
  auto second = here.provider(first);
  REQUIRE(second != first);
  CHECK(here.status(second).problem.find("started again (1 time so far)") != std::string::npos);
  CHECK(here.status(second).problem.find("a bug") != std::string::npos);
  CHECK(std::holds_alternative<completion>(here.chat(second, {})));
  auto third = here.chat(second, 5s);
  REQUIRE(std::holds_alternative<failure>(third)); // two were sent within the minute
  CHECK(std::get<failure>(third).retry_after > 30s);
}

TEST_CASE("a provider that was told to end by somebody is started again", "[registry]") {
  simulator::server server{simulator::options{}};
  host here{before(server)};
  auto first = here.provider();
  caf::anon_send_exit(first, caf::exit_reason::kill);
  auto second = here.provider(first);
  CHECK(second != first);
  CHECK(std::holds_alternative<completion>(here.chat(second, {})));
}

TEST_CASE("a provider that ends again and again is started again at a slower pace", "[registry]") {
  simulator::server server{simulator::options{}};
  host here{before(server)};
  auto one = here.provider();
  auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 5; ++i) {
    crash(one);
    auto next = here.provider(one);
    REQUIRE(next != one);
    one = next;
  }
  CHECK(std::chrono::steady_clock::now() - began >= 1'500ms); // at once, then after 100, 200, 400 and 800 ms
  CHECK(here.status(one).problem.find("(5 times so far)") != std::string::npos);
  CHECK(here.problem().code == errc::internal); // while it waited
  CHECK(here.problem().retry_after <= 800ms);
}

TEST_CASE("providers that wait for their restart together are all started, though nobody asks for them", "[registry]") {
  simulator::server server{simulator::options{}};
  auto x = before(server);
  x.providers.push_back(x.providers[0]);
  x.providers[1].name = "other";
  host here{x};
  auto one = here.provider();
  auto other = here.provider({}, "other");
  auto all = here.running_actors();
  crash(one);
  one = here.provider(one);
  for (int i = 0; i < 2; ++i) {
    crash(other);
    other = here.provider(other, "other");
  }
  CHECK(test::eventually([&] { return here.running_actors() == all; }));
  crash(one); // it waits for 100 ms, and the other one for 200
  crash(other);
  CHECK(test::eventually([&] { return here.running_actors() < all; }));
  CHECK(test::eventually([&] { return here.running_actors() == all; }));
}

} // namespace modelforge::supervision_test
