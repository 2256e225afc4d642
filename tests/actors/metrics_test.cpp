#include "tests/actors/provider_fixture.hpp"
#include "tests/simulator/client.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/prometheus_text.hpp"

#include "actors/exposed_metrics.hpp"
#include "actors/provider_metrics.hpp"
#include "actors/support/mail.hpp"
#include "log/logger.hpp"
#include "telemetry/status_json.hpp"

#include <modelforge/actors/metrics.hpp>
#include <modelforge/actors/registry.hpp>
#include <modelforge/config/load.hpp>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <ctime>
#include <future>
#include <thread>

namespace modelforge::metrics_test {

using namespace std::chrono_literals;

using test::prometheus_text;
using test::provider_test;

namespace {

prometheus_text scrape_all(caf::actor_system& of) {
  telemetry::exposition out;
  write_metrics(out, of.metrics());
  return prometheus_text{out.take()};
}

struct metrics_test : provider_test {
  prometheus_text scrape() { return scrape_all(system()); }

  /// Series of provider acme.
  double metric(const std::string& name, const std::string& more = {}) {
    auto x = scrape();
    CHECK(x.problem == "");
    auto labels = "modelforge_provider=\"acme\"";
    return x.at("modelforge_" + name + "{" + (more < "modelforge_provider" ? more + (more.empty() ? "" : ",") : "")
                + labels + (more < "modelforge_provider" ? "" : "," + more) + "}");
  }

  double operations(const std::string& model, const std::string& error, const char* what = "count") {
    auto x = scrape();
    CHECK(x.problem == "");
    return x.at("gen_ai_client_operation_duration_seconds_" + std::string{what} + "{error_type=\"" + error
                + "\",gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"openai\",gen_ai_request_model=\"" + model
                + "\",modelforge_provider=\"acme\"}");
  }
};

} // namespace

TEST_CASE_METHOD(metrics_test, "an answered request is counted with its duration and tokens", "[actors][metrics]") {
  auto provider = spawn();
  ask_chat(provider, question(1));
  CHECK(metric("requests_in_flight") == 1);
  CHECK(metric("attempts_total") == 1);
  advance(2s);
  say(0, "hello");
  CHECK(metric("requests_in_flight") == 0);
  CHECK(metric("requests_answered_total") == 1);
  CHECK(operations("m", "") == 1);
  CHECK(operations("m", "", "sum") == Catch::Approx(2));
  auto tokens = [&](const std::string& type) {
    return scrape().at("gen_ai_client_token_usage_sum{gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"openai\","
                       "gen_ai_request_model=\"m\",gen_ai_token_type=\""
                       + type + "\",modelforge_provider=\"acme\"}");
  };
  CHECK(tokens("input") == 7);
  CHECK(tokens("output") == 3);
}

TEST_CASE_METHOD(metrics_test, "answers that are no good ones are counted by what is wrong", "[actors][metrics]") {
  auto provider = spawn();
  uint64_t number = 0;
  for (std::string reason : {"stop", "length", "content_filter", "length", "brand_new"}) {
    ask_chat(provider, question(++number));
    http->answer(0, 200, R"({"choices":[{"message":{"content":"Half"},"finish_reason":")" + reason + "\"}]}");
    run();
  }
  CHECK(metric("requests_answered_total") == 5);
  CHECK(metric("answers_flawed_total", "reason=\"cut\"") == 2);
  CHECK(metric("answers_flawed_total", "reason=\"blocked\"") == 1);
  CHECK(metric("answers_flawed_total", "reason=\"unclear\"") == 1);
  CHECK(metric("answers_flawed_total", "reason=\"empty\"") == 0);
}

TEST_CASE_METHOD(metrics_test, "what answers cost is summed up by the prices, to the last digit", "[actors][metrics]") {
  settings.price = {0.1, 0.4}; // for a million tokens; an answer has 7 and 3
  auto provider = spawn();
  auto cost = [&] {
    return scrape().at("modelforge_request_cost_total{gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"openai\","
                       "gen_ai_request_model=\"m\",modelforge_provider=\"acme\"}");
  };
  CHECK(cost() == -1);
  for (uint64_t i = 1; i <= 2; ++i) {
    ask_chat(provider, question(i));
    say(0, "hello");
  }
  CHECK(cost() == Catch::Approx(2 * (7 * 0.1 + 3 * 0.4) / 1e6));
}

TEST_CASE_METHOD(metrics_test, "what waits, fails and is refused is counted by its kind", "[actors][metrics]") {
  settings.max_concurrent = 2;
  settings.retry.max_attempts = 2;
  settings.retry.on_empty_budget = empty_budget::wait;
  runtime.max_queued = 3;
  auto provider = spawn();
  for (uint64_t i = 1; i <= 3; ++i)
    ask_chat(provider, question(i));
  auto item = question(4);
  item.priority = priority::batch;
  ask_chat(provider, std::move(item));
  CHECK(metric("requests_queued", "priority=\"interactive\"") == 1);
  CHECK(metric("requests_queued", "priority=\"batch\"") == 1);
  CHECK(metric("requests_queued_size_bytes") > 0);
  for (uint64_t i = 5; i <= 6; ++i)
    ask_chat(provider, question(i));
  CHECK(metric("refusals_total", "reason=\"queue_full\"") == 1);
  CHECK(metric("requests_failed_total") == 1);
  http->answer(0, 500, "{}");
  run();
  CHECK(metric("retries_waiting") == 1);
  auto nameless = question(9);
  nameless.messages.clear();
  ask_chat(provider, std::move(nameless));
  CHECK(metric("requests_failed_total") == 2);
}

TEST_CASE_METHOD(metrics_test, "a failed request's duration has its error, retries their reason", "[actors][metrics]") {
  settings.retry.max_attempts = 2;
  settings.retry.on_empty_budget = empty_budget::wait;
  auto provider = spawn();
  auto answer = ask_chat(provider, question(1));
  http->answer(0, 500, "{}");
  run();
  advance(5s);
  REQUIRE(http->pending() == 1);
  http->answer(0, 503, "{}");
  run();
  REQUIRE(answer->error);
  CHECK(operations("m", to_string(answer->error->code)) == 1);
  CHECK(operations("m", "") == -1);
  CHECK(metric("retries_total", "reason=\"transient\"") + metric("retries_total", "reason=\"overload\"") == 1);
  CHECK(metric("attempts_total") == 2);
}

TEST_CASE_METHOD(metrics_test, "the use of a window is shown, and follows a status", "[actors][metrics]") {
  settings.rate_limit.requests_per_minute = 60;
  runtime.state_folder = "none";
  auto provider = spawn();
  ask_chat(provider, question(1));
  say(0, "one");
  auto of = std::string{"lane=\"default\",limit=\"requests\""};
  status(provider);
  CHECK(metric("limit_size", of) == 60);
  CHECK(metric("limit_used", of) == 1);
  CHECK(metric("lane_slots", "lane=\"default\"") == 2);
  CHECK(metric("breaker_state", "lane=\"default\"") == 0);
  advance(2min);
  CHECK(status(provider).lanes[0].limits[0].used == 0);
  CHECK(metric("limit_used", of) == 0);
}

TEST_CASE_METHOD(metrics_test, "an ended provider's gauges are 0, its counters stay and go on", "[actors][metrics]") {
  settings.rate_limit.requests_per_minute = 60;
  runtime.state_folder = "none";
  auto provider = spawn();
  for (uint64_t i = 1; i <= 3; ++i)
    ask_chat(provider, question(i));
  status(provider);
  CHECK(metric("requests_in_flight") == 2);
  caf::anon_send_exit(provider, caf::exit_reason::user_shutdown);
  run();
  for (auto* gauge : {"requests_in_flight", "requests_queued_size_bytes", "request_predicted_wait_seconds"})
    CHECK(metric(gauge) == 0);
  CHECK(metric("requests_queued", "priority=\"interactive\"") == 0);
  CHECK(metric("limit_size", "lane=\"default\",limit=\"requests\"") == 0);
  CHECK(metric("attempts_total") == 2);
  auto again = spawn();
  ask_chat(again, question(7));
  CHECK(metric("attempts_total") == 3);
  CHECK(metric("requests_in_flight") == 1);
}

TEST_CASE_METHOD(metrics_test, "several providers are told apart", "[actors][metrics]") {
  auto acme = spawn();
  settings.name = "other";
  auto other = spawn();
  ask_chat(acme, question(1));
  ask_chat(other, question(2));
  ask_chat(other, question(3));
  CHECK(metric("requests_in_flight") == 1);
  CHECK(scrape().at("modelforge_requests_in_flight{modelforge_provider=\"other\"}") == 2);
}

TEST_CASE_METHOD(metrics_test, "models are bounded, and cannot break the text", "[actors][metrics]") {
  auto provider = spawn();
  for (uint64_t i = 1; i <= 30; ++i) {
    auto x = question(i);
    x.model = i == 1 ? "a\"} 1\n# \\evil\u00e9" : "model-" + std::to_string(i);
    ask_chat(provider, std::move(x));
    say(0, "x");
  }
  CHECK(operations("a_} 1_# _evil__", "") == 1);
  CHECK(operations("model-20", "") == 1);
  CHECK(operations("model-21", "") == -1);
  CHECK(operations("other", "") == 10);
}

TEST_CASE_METHOD(metrics_test, "metrics that cannot be had fail no request", "[actors][metrics]") {
  // The name is taken by a metric of another kind.
  system().metrics().gauge_singleton("modelforge", "attempts", "Something else", "1", true);
  system().metrics().gauge_singleton("gen_ai", "client.operation.duration", "Something else", "seconds");
  auto provider = spawn();
  auto answer = ask_chat(provider, question(1));
  say(0, "hello");
  REQUIRE(answer->value);
  CHECK(answer->value->text == "hello");
  CHECK(status(provider).answered == 1);
}

// -- over HTTP ------------------------------------------------------------------------

namespace {

/// A real actor system, and a provider whose HTTP server is the test.
struct served_test {
  served_test() {
    init_types();
    runtime.state_folder = "none";
    apply(runtime, config);
    system = std::make_unique<caf::actor_system>(config);
  }

  ~served_test() {
    server.reset();
    for (auto& x : providers)
      caf::anon_send_exit(x, caf::exit_reason::user_shutdown);
  }

  void add(const std::string& name) {
    provider_settings x;
    x.name = name;
    x.kind = provider_kind::openai;
    x.base_url = "http://acme.test/v1";
    x.rate_limit.requests_per_minute = 60;
    providers.push_back(std::get<provider_actor>(spawn_provider(*system, x, runtime, http)));
  }

  void serve(const std::string& listen = "127.0.0.1:0") {
    server = std::get<0>(serve_metrics(*system, {listen}, providers));
  }

  test::http_answer get(const std::string& path, const std::string& method = "GET") {
    return test::fetch(server->port(), method, path);
  }

  runtime_settings runtime;
  std::shared_ptr<test::fake_client> http = std::make_shared<test::fake_client>();
  caf::actor_system_config config;
  std::unique_ptr<caf::actor_system> system;
  std::vector<provider_actor> providers;
  std::unique_ptr<metrics_server> server;
};

} // namespace

TEST_CASE_METHOD(served_test, "the metrics port serves Prometheus text and the status", "[actors][metrics]") {
  add("one");
  add("two");
  serve();
  CHECK(server->url() == "http://127.0.0.1:" + std::to_string(server->port()));
  auto metrics = get("/metrics");
  CHECK(metrics.status == 200);
  CHECK(metrics.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8");
  prometheus_text text{metrics.body};
  CHECK(text.problem == "");
  CHECK(text.types["gen_ai_client_operation_duration_seconds"].empty()); // no request yet
  CHECK(text.types["modelforge_attempts_total"] == "counter");
  for (auto* name : {"one", "two"}) // the scrape brought the gauges up to date
    CHECK(text.at(std::string{"modelforge_limit_size{lane=\"default\",limit=\"requests\",modelforge_provider=\""} + name
                  + "\"}")
          == 60);
  auto status = get("/status?pretty");
  CHECK(status.headers["content-type"] == "application/json");
  auto program = telemetry::read_status(status.body);
  REQUIRE(program);
  CHECK(program->pid == getpid());
  REQUIRE(program->providers.size() == 2);
  CHECK(program->providers[1].status.name == "two");
  CHECK(program->providers[1].state == telemetry::provider_state::ready);
}

TEST_CASE_METHOD(served_test, "the metrics port refuses what it does not have", "[actors][metrics]") {
  serve();
  CHECK(get("/").status == 404);
  CHECK(get("/metrics/").status == 404);
  auto no = get("/metrics", "DELETE");
  CHECK(no.status == 405);
  CHECK(no.headers["allow"] == "GET, HEAD");
  test::connection to{server->port()};
  to.send(test::http_request("HEAD", "/status"));
  auto head = to.receive(true);
  CHECK(head.status == 200);
  CHECK(std::stoi(head.headers["content-length"]) > 10);
  CHECK(telemetry::read_status(get("/status").body)->providers.empty());
}

TEST_CASE_METHOD(served_test, "a provider that has ended is left out, and is not kept alive", "[actors][metrics]") {
  add("one");
  add("two");
  serve();
  providers.erase(providers.begin()); // its last handle
  CHECK(test::eventually([&] {
    auto x = telemetry::read_status(get("/status").body);
    return x && x->providers.size() == 1 && x->providers[0].status.name == "two";
  }));
  CHECK(get("/metrics").status == 200);
}

TEST_CASE_METHOD(served_test, "a provider without a registry that hangs is called by its place", "[actors][metrics]") {
  add("one");
  add("two");
  serve();
  std::promise<void> is_there, end;
  post(providers[0], [&is_there, until = end.get_future().share()] {
    is_there.set_value();
    until.wait();
  });
  is_there.get_future().wait();
  auto hung = telemetry::read_status(get("/status").body);
  end.set_value();
  REQUIRE(hung);
  REQUIRE(hung->providers.size() == 2);
  CHECK(hung->providers[0].status.name == "#1");
  CHECK(hung->providers[0].state == telemetry::provider_state::unanswered);
  CHECK(hung->providers[1].status.name == "two");
  CHECK(hung->providers[1].state == telemetry::provider_state::ready);
  CHECK(
    test::eventually([&] { return telemetry::read_status(get("/status").body)->providers[0].status.name == "one"; }));
}

TEST_CASE_METHOD(served_test, "a port that cannot be had is told by the setting's name", "[actors][metrics]") {
  serve();
  auto problem_with = [&](const std::string& listen) {
    auto x = serve_metrics(*system, {listen}, providers);
    auto* problem = std::get_if<failure>(&x);
    REQUIRE(problem != nullptr);
    CHECK(problem->code == errc::configuration);
    CHECK(problem->message.starts_with("metrics.listen: "));
    return problem->message;
  };
  auto address = "127.0.0.1:" + std::to_string(server->port());
  CHECK(problem_with(address).find(address) != std::string::npos);
  for (auto* listen : {"", "127.0.0.1", ":80", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000"})
    problem_with(listen);
}

TEST_CASE_METHOD(served_test, "what a reload adds, replaces and removes shows in the status", "[actors][metrics]") {
  settings x;
  x.runtime.state_folder = "none";
  for (auto* name : {"one", "two"}) {
    auto& one = x.providers.emplace_back();
    one.name = name;
    one.kind = provider_kind::openai_compatible;
    one.base_url = "http://127.0.0.1:9/v1";
  }
  auto registry = std::get<registry_actor>(spawn_registry(*system, x));
  server = std::get<0>(serve_metrics(*system, {"127.0.0.1:0"}, registry));
  auto shown = [&] {
    std::vector<std::string> result;
    auto status = telemetry::read_status(get("/status").body);
    REQUIRE(status);
    for (auto& each : status->providers)
      result.push_back(each.status.name + " " + each.status.kind);
    return result;
  };
  using names = std::vector<std::string>;
  CHECK(shown() == names{"one openai_compatible", "two openai_compatible"});
  x.providers[0].name = "three";
  x.providers[1].kind = provider_kind::ollama;
  x.providers[1].base_url = "http://127.0.0.1:9";
  caf::scoped_actor self{*system};
  self->request(registry, caf::infinite, reload_atom_v, to_toml(x), std::string{"test"})
    .receive([](const reload_report& y) { CHECK((y.added.size() == 1 && y.replaced.size() == 1)); },
             [](const caf::error& y) { FAIL(to_string(y)); });
  CHECK(shown() == names{"three openai_compatible", "two ollama"});
  CHECK(get("/metrics").status == 200);
  caf::anon_send_exit(registry, caf::exit_reason::user_shutdown);
  registry = nullptr;
}

TEST_CASE_METHOD(served_test, "what the logs of a program have dropped is shown", "[actors][metrics]") {
  settings x;
  x.runtime.state_folder = "none";
  x.log.sink = "none";
  x.log.access = "/dev/full";
  auto log = std::get<log_handle>(start_log(x.log));
  auto registry = std::get<registry_actor>(spawn_registry(*system, x, log));
  server = std::get<0>(serve_metrics(*system, {"127.0.0.1:0"}, registry));
  for (int i = 0; i < 3; ++i)
    log->write(log::request_record{});
  REQUIRE(test::eventually([&] { return dropped_requests(log) == 3; }));
  CHECK(prometheus_text{get("/metrics").body}.at("modelforge_access_log_lines_dropped_total") == 3);
  auto status = get("/status").body;
  CHECK(status.find("\"access_log_lines_dropped\":3") != status.npos);
  CHECK(status.find("\"log_events_dropped\":0") != status.npos);
  caf::anon_send_exit(registry, caf::exit_reason::user_shutdown);
  registry = nullptr;
}

TEST_CASE_METHOD(served_test, "many scrapes at once are all answered", "[actors][metrics]") {
  add("one");
  serve();
  std::atomic<int> good{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 8; ++i)
    clients.emplace_back([&, i] {
      for (int j = 0; j < 10; ++j)
        good += get((i + j) % 2 != 0 ? "/metrics" : "/status").status == 200;
    });
  for (auto& x : clients)
    x.join();
  CHECK(good == 80);
}

TEST_CASE("taking a request's numbers costs next to nothing", "[.][metrics]") {
  caf::telemetry::metric_registry registry;
  provider_metrics metrics{registry, "acme", "openai"};
  dispatcher::counters counters;
  dispatcher::queue_state queue;
  completion x;
  x.usage = token_usage{100, 200, 0, 0, 0};
  x.timings.total = 900ms;
  constexpr int rounds = 1'000'000;
  auto cpu = [] { return std::chrono::nanoseconds{std::clock() * (1'000'000'000 / CLOCKS_PER_SEC)}; };
  auto begin = cpu();
  for (int i = 0; i < rounds; ++i) { // accepted, dispatched, answered: counted twice
    queue.in_flight = 1;
    ++counters.attempts;
    metrics.count(counters, queue, 0);
    metrics.answered("gpt-4o-mini", x.usage, x.timings, {});
    queue.in_flight = 0;
    ++counters.answered;
    metrics.count(counters, queue, 0);
  }
  auto each = (cpu() - begin) / rounds;
  WARN(each.count() << " ns");
  CHECK(each < 1us);
}

} // namespace modelforge::metrics_test
