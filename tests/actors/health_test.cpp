#include "tests/actors/node_fixture.hpp"
#include "tests/simulator/client.hpp"
#include "tests/support/metric_lint.hpp"
#include "tests/support/places.hpp"
#include "tests/support/prometheus_text.hpp"
#include "tests/support/settings.hpp"

#include "actors/registry_view.hpp"
#include "actors/support/mail.hpp"
#include "telemetry/metric_names.hpp"

#include <modelforge/actors/metrics.hpp>
#include <modelforge/actors/registry.hpp>
#include <modelforge/actors/system.hpp>
#include <modelforge/config/load.hpp>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <catch2/catch_test_macros.hpp>

#include <fstream>
#include <future>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>

namespace modelforge::health_test {

using namespace std::chrono_literals;

namespace {

/// A program with a registry and a metrics port.
class program {
public:
  explicit program(const settings& x)
    : system_(configured(x)), registry_(std::get<registry_actor>(spawn_registry(system_, x, {}, "first.toml"))),
      port_(std::get<0>(serve_metrics(system_, {"127.0.0.1:0"}, registry_))) {}

  ~program() {
    port_.reset();
    caf::anon_send_exit(registry_, caf::exit_reason::user_shutdown);
  }

  test::http_answer get(const std::string& path) { return test::fetch(port_->port(), "GET", path); }
  test::json status() { return get("/status").parsed(); }

  double metric(const std::string& series) { return test::prometheus_text{get("/metrics").body}.at(series); }

  template <class T = provider_actor, class... Ts>
  std::optional<T> ask_registry(Ts... xs) {
    return ask<T>(registry_, std::move(xs)...);
  }

  provider_actor find(const std::string& name) {
    return ask_registry(caf::get_atom_v, name).value_or(provider_actor{});
  }

  template <class T, class Actor, class... Ts>
  std::optional<T> ask(const Actor& to, Ts... xs) {
    std::optional<T> result;
    caf::scoped_actor self{system_};
    self->request(to, 20s, std::move(xs)...).receive([&](T& x) { result = std::move(x); }, [](const caf::error&) {});
    return result;
  }

  const registry_actor& registry() const { return registry_; }

private:
  caf::actor_system_config& configured(const settings& x) {
    init_types();
    apply(x, config_);
    return config_;
  }

  caf::actor_system_config config_;
  caf::actor_system system_;
  registry_actor registry_;
  std::unique_ptr<metrics_server> port_;
};

settings with(std::vector<provider_settings> providers) {
  auto x = test::without_state(4);
  x.log.sink = "none";
  x.providers = std::move(providers);
  return x;
}

/// Keeps an actor from answering as long as this lives: it waits inside one of its turns.
class stopper {
public:
  template <class Actor>
  explicit stopper(const Actor& whom) {
    auto is_there = std::make_shared<std::promise<void>>();
    auto reached = is_there->get_future();
    post(whom, [is_there, until = end_.get_future().share()] {
      is_there->set_value();
      until.wait();
    });
    reached.wait();
  }

  ~stopper() { end_.set_value(); }

  stopper(const stopper&) = delete;
  stopper& operator=(const stopper&) = delete;

private:
  std::promise<void> end_;
};

/// Each as "CODE PROVIDER STATE".
std::set<std::string> reasons_in(const test::json& answer) {
  std::set<std::string> result;
  for (auto& each : answer.at("reasons")) {
    CHECK_FALSE(each.at("message").get<std::string>().empty());
    auto text = each.at("code").get<std::string>();
    if (each.contains("provider"))
      text += " " + each["provider"].get<std::string>() + " " + each["state"].get<std::string>();
    result.insert(text);
  }
  return result;
}

using reasons = std::set<std::string>;

} // namespace

TEST_CASE("a program that works is alive, ready, and says what it is", "[metrics][health]") {
  simulator::server server{simulator::options{}};
  program here{with({test::simulated_at(server.url(), "one")})};
  auto lives = here.get("/healthz");
  CHECK(lives.status == 200);
  CHECK(lives.body == "ok\n");
  auto ready = here.get("/readyz");
  CHECK(ready.status == 200);
  CHECK(ready.headers["content-type"] == "application/json");
  CHECK(ready.body == "{\"ready\":true,\"reasons\":[]}\n");
  auto status = here.status();
  CHECK(status["ready"] == true);
  CHECK(status["draining"] == false);
  CHECK(status["settings"]["origin"] == "first.toml");
  CHECK(status["settings"]["refused"].is_null());
  CHECK(status["node"].is_null());
  CHECK(status["providers"][0]["state"] == "ready");
  CHECK(here.metric("modelforge_ready") == 1);
  CHECK(here.metric("modelforge_provider_usable{modelforge_provider=\"one\"}") == 1);
  CHECK(here.metric("modelforge_linked_nodes") == -1); // it is no node
}

TEST_CASE("a provider that hangs is told as such, and hides no other one", "[metrics][health]") {
  simulator::server server{simulator::options{}};
  program here{with({test::simulated_at(server.url(), "hung"), test::simulated_at(server.url(), "well")})};
  stopper stopped{here.find("hung")};
  auto began = std::chrono::steady_clock::now();
  auto status = here.status();
  CHECK(std::chrono::steady_clock::now() - began < (test::sanitized ? 10s : 3s));
  REQUIRE(status["providers"].size() == 2);
  CHECK(status["providers"][0]["name"] == "hung");
  CHECK(status["providers"][0]["state"] == "unanswered");
  CHECK(status["providers"][1]["state"] == "ready");
  CHECK(status["providers"][1]["max_concurrent"] == 16); // all that it tells is there
  CHECK(here.get("/readyz").status == 200);
  CHECK(here.get("/healthz").status == 200);
  CHECK(here.metric("modelforge_provider_usable{modelforge_provider=\"hung\"}") == 0);
  CHECK(here.metric("modelforge_provider_usable{modelforge_provider=\"well\"}") == 1);
}

TEST_CASE("a program whose only provider hangs is not ready until it answers", "[metrics][health]") {
  simulator::server server{simulator::options{}};
  program here{with({test::simulated_at(server.url(), "hung")})};
  {
    stopper stopped{here.find("hung")};
    auto ready = here.get("/readyz");
    CHECK(ready.status == 503);
    CHECK(reasons_in(ready.parsed()) == reasons{"provider hung unanswered"});
    CHECK(here.get("/healthz").status == 200);
    CHECK(here.metric("modelforge_ready") == 0);
  }
  CHECK(test::eventually([&] { return here.get("/readyz").status == 200; }));
}

TEST_CASE("a program whose registry hangs says that nothing else is known", "[metrics][health]") {
  simulator::server server{simulator::options{}};
  program here{with({test::simulated_at(server.url(), "main")})};
  stopper stopped{here.registry()};
  auto ready = here.get("/readyz");
  CHECK(ready.status == 503);
  CHECK(reasons_in(ready.parsed()) == reasons{"unanswered"});
  auto status = here.status();
  CHECK(status["settings"].is_null());
  CHECK(status["providers"].empty());
  CHECK(here.get("/healthz").status == 200);
  test::prometheus_text text{here.get("/metrics").body};
  CHECK(text.problem == "");
  CHECK(text.at("modelforge_ready") == 0);
  CHECK(text.at("modelforge_requests_in_flight{modelforge_provider=\"main\"}") == 0); // what providers count is there
}

TEST_CASE("a provider that has died is not ready, until it is started again", "[metrics][health]") {
  simulator::server server{simulator::options{}};
  program here{with({test::simulated_at(server.url(), "main")})};
  std::string problem;
  REQUIRE(test::eventually([&] { // it is started again ever later: at once, after 0.1 s, 0.2 s, ...
    if (auto alive = here.find("main"))
      post(alive, [] { throw std::runtime_error{"a bug"}; });
    auto provider = here.status()["providers"][0];
    problem = provider["problem"];
    return provider["state"] == "ended" && !problem.empty(); // the registry may hear of it a moment later
  }));
  CHECK(problem.find("a bug") != problem.npos);
  CHECK(test::eventually([&] { return here.get("/readyz").status == 200; }));
}

TEST_CASE("a provider whose circuit is open is not ready, and is when a request may try it", "[metrics][health]") {
  simulator::server server{test::always_with("500")};
  auto provider = test::simulated_at(server.url(), "main");
  provider.retry.max_attempts = 1;
  provider.circuit_breaker.consecutive_failures = 1;
  provider.circuit_breaker.open_for = 2s;
  program here{with({provider})};
  chat_request x;
  x.messages = {text_message(role::user, "Hi")};
  CHECK_FALSE(here.ask<completion>(here.find("main"), x));
  auto ready = here.get("/readyz");
  CHECK(ready.status == 503);
  CHECK(reasons_in(ready.parsed()) == reasons{"provider main failing"});
  CHECK(test::eventually([&] { return here.get("/readyz").status == 200; })); // else nobody would ever find out
  CHECK(here.status()["providers"][0]["lanes"][0]["breaker"] == "half_open");
}

TEST_CASE("a program that drains is not ready, and lives", "[metrics][health]") {
  simulator::options slow;
  slow.latency = 60s;
  simulator::server server{slow};
  program here{with({test::simulated_at(server.url(), "main")})};
  chat_request x;
  x.id = {1, 2};
  x.messages = {text_message(role::user, "Hi")};
  auto provider = here.find("main");
  auto answer = std::async(std::launch::async, [&] { return here.ask<completion>(provider, x); });
  REQUIRE(test::eventually([&] { return server.snapshot().requests == 1; }));
  tell_from_outside(here.registry(), drain_atom_v, caf::timespan{20s});
  REQUIRE(test::eventually([&] { return here.get("/readyz").status == 503; }));
  CHECK(test::eventually([&] { // the registry knows a moment before the provider does
    return reasons_in(here.get("/readyz").parsed()) == reasons{"draining", "provider main draining"};
  }));
  CHECK(here.status()["draining"] == true);
  CHECK(here.get("/healthz").status == 200);
  tell_from_outside(provider, cancel_atom_v, x.id);
  CHECK_FALSE(answer.get());
}

TEST_CASE("settings that are refused stay in the status with their reason", "[metrics][health]") {
  simulator::server server{simulator::options{}};
  auto x = with({test::simulated_at(server.url(), "main")});
  program here{x};
  auto taken = here.status()["settings"]["taken_at"].get<std::string>();
  CHECK_FALSE(here.ask_registry<reload_report>(reload_atom_v, std::string{"providers = 7\n"}, std::string{"bad.toml"}));
  auto status = here.status();
  auto refused = status["settings"];
  CHECK(refused["origin"] == "first.toml");
  CHECK(refused["taken_at"] == taken);
  CHECK(refused["last_reload_refused"] == true);
  CHECK(refused["refused"]["reason"].get<std::string>().find("bad.toml") != std::string::npos);
  CHECK(refused["refused"]["at"].get<std::string>() >= taken);
  CHECK(status["ready"] == true); // those before are in force
  CHECK(here.metric("modelforge_settings_last_reload_successful") == 0);
  REQUIRE(here.ask_registry<reload_report>(reload_atom_v, to_toml(x), std::string{"second.toml"}));
  auto good = here.status()["settings"];
  CHECK(good["origin"] == "second.toml");
  CHECK(good["last_reload_refused"] == false);
  CHECK(good["refused"] == refused["refused"]); // the last one, however long ago
  CHECK(good["taken_at"].get<std::string>() >= taken);
  CHECK(here.metric("modelforge_settings_last_reload_successful") == 1);
  CHECK(here.metric("modelforge_settings_taken_timestamp_seconds") > 1.7e9);
  view_of(here.registry()).run([](registry_view& its) {
    its.refuse_reload("gone.toml", "cannot read gone.toml again");
  });
  CHECK(here.status()["settings"]["refused"]["reason"] == "cannot read gone.toml again");
}

TEST_CASE("no key stands in the status, and no reason is endless", "[metrics][health]") {
  test::temporary_folder folder;
  auto provider = test::simulated_at("http://127.0.0.1:9", "main");
  provider.keys = {{"", "", folder.write("key", "sk-secret-0123456789\n")}};
  program here{with({provider})};
  view_of(here.registry()).run([](registry_view& its) {
    its.refuse_reload("x.toml", "no \"sk-secret-0123456789\" here; " + std::string(10'000, 'x'));
  });
  auto text = here.get("/status").body;
  CHECK(text.find("secret") == text.npos);
  auto reason = here.status()["settings"]["refused"]["reason"].get<std::string>();
  CHECK(reason.starts_with("no \""));
  CHECK(reason.size() < 5'000);
}

TEST_CASE("a provider whose owner cannot be reached is not ready", "[metrics][health]") {
  auto x = with({test::simulated_at("http://127.0.0.1:9", "far")});
  x.node.name = "here";
  x.node.peers = {"127.0.0.1:9"};
  x.providers[0].nodes = {"owner"};
  program here{x};
  auto ready = here.get("/readyz");
  CHECK(ready.status == 503);
  CHECK(reasons_in(ready.parsed()) == reasons{"provider far unreachable"});
  auto status = here.status();
  CHECK(status["providers"][0]["owner"] == "owner");
  REQUIRE(status["node"]["links"].size() == 1);
  CHECK(status["node"]["links"][0]["address"] == "127.0.0.1:9");
  CHECK(status["node"]["links"][0]["up"] == false);
  CHECK(here.metric("modelforge_link_up{address=\"127.0.0.1:9\"}") == 0);
  CHECK(here.metric("modelforge_linked_nodes") == 0);
}

TEST_CASE("links and guests are seen on both sides", "[metrics][health]") {
  simulator::server server{simulator::options{}};
  program owner{node_test::owner_of(server.url())};
  auto listening = owner.status()["node"]["listening"].get<std::string>();
  program guest{node_test::guest_of(listening)};
  REQUIRE(test::eventually([&] { return guest.get("/readyz").status == 200; }));
  auto seen = guest.status();
  CHECK(seen["node"]["name"] == "guest");
  CHECK(seen["node"]["links"][0]["peer"] == "owner");
  CHECK(seen["node"]["links"][0]["up"] == true);
  CHECK(seen["providers"][0]["owner"] == "owner");
  CHECK(seen["providers"][0]["max_concurrent"] == 64); // as the owner tells
  CHECK(guest.metric("modelforge_link_up{address=\"" + listening + "\"}") == 1);
  auto there = owner.status()["node"];
  CHECK(there["guests"] == test::json{{{"node", "guest"}, {"provider", "sim"}}});
  CHECK(there["links"][0]["peer"] == "guest");
  CHECK(there["links"][0]["address"] == ""); // it was the guest that connected
  CHECK(there["links"][0]["seconds"] > 0);
  CHECK(owner.metric("modelforge_provider_guests{modelforge_provider=\"sim\"}") == 1);
  CHECK(owner.metric("modelforge_linked_nodes") == 1);
  stopper stopped{owner.find("sim")}; // an owner that hangs
  auto ready = guest.get("/readyz");
  CHECK(ready.status == 503);
  CHECK(reasons_in(ready.parsed()) == reasons{"provider sim unanswered"});
}

TEST_CASE("every metric is in the list, has a sound name, and the list has no other", "[metrics][health]") {
  simulator::server server{simulator::options{}};
  auto x = node_test::owner_of(server.url());
  x.node.peers = {"127.0.0.1:9"};
  x.providers[0].rate_limit.requests_per_minute = 1'000;
  x.providers[0].price = {1, 2};
  x.telemetry.otlp = "http://127.0.0.1:9"; // what nobody takes is counted, too
  program here{x};
  auto provider = here.find("sim");
  chat_request question;
  question.messages = {text_message(role::user, "What is 12 + 30?")};
  REQUIRE(here.ask<completion>(provider, question));
  runtime other{node_test::guest_of(here.status()["node"]["listening"])};
  auto stream = other.stream("What is 12 + 30?");
  stream.wait();
  test::prometheus_text text{here.get("/metrics").body};
  CHECK(text.problem == "");
  CHECK(test::lint(text) == std::vector<std::string>{});
  std::stringstream in;
  in << std::ifstream{test::source_path("docs/monitoring.md")}.rdbuf();
  auto page = in.str();
  std::set<std::string> listed;
  for (auto* each : telemetry::all_metrics) {
    auto name = telemetry::full_name(*each);
    listed.insert(name);
    CAPTURE(name);
    CHECK(text.types[name] == telemetry::name_of(each->kind));
  }
  for (auto& [series, value] : text.values) {
    auto name = test::prometheus_text::family_of(series, text.types);
    CAPTURE(series);
    if (name.starts_with("caf_")) { // its own
      CHECK(page.find("\n| `" + name + "` | " + text.types[name] + " |") != page.npos);
      continue;
    }
    CHECK(listed.count(name) == 1);
    for (auto* each : telemetry::all_metrics)
      if (telemetry::full_name(*each) == name)
        for (auto label : each->labels)
          CHECK((label.empty() || series.find(std::string{label} + "=\"") != series.npos));
  }
  CHECK(
    text.at("modelforge_request_cost_total{gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"openai_compatible\","
            "gen_ai_request_model=\"sim-mini\",modelforge_provider=\"sim\"}")
    > 0);
  CHECK(text.at("process_resident_memory_bytes") > 1e6);
  CHECK(text.at("process_cpu_seconds_total") > 0);
  CHECK(text.at("process_open_fds") > 3);
  CHECK(text.at("process_max_fds") >= text.at("process_open_fds"));
  CHECK(text.at("process_start_time_seconds") > 1.7e9);
}

} // namespace modelforge::health_test
