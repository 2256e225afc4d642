/// Limits, retries, breaker and fairness against a strict server: the simulated provider, which refuses with 429 what
/// is beyond its limits in any interval of its own clock; and what the dispatcher costs.
///
/// Usage: rate_limits SCENARIO ... [--seconds N]; without a scenario all but `kill`, which needs a program:
/// rate_limits kill BUILD/bin/modelforge. Prints what was promised and what was seen, and exits with 1 where a promise
/// was not kept.

#include "bench/measure.hpp"
#include "dispatch/dispatcher.hpp"
#include "tests/simulator/client.hpp"
#include "tools/simulator/simulator.hpp"

#include <modelforge/actors/batch_coordinator.hpp>
#include <modelforge/actors/provider.hpp>
#include <modelforge/actors/system.hpp>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

using namespace modelforge;
using namespace std::chrono_literals;
using bench::all_kept;
using bench::promise;
using steady = std::chrono::steady_clock;

struct failed_request {
  request_id id;
  failure why;
};

/// Answers, as they come in.
struct tally {
  std::mutex mutex;
  uint64_t answered = 0;
  std::map<errc, uint64_t> failed;
  std::map<std::string, std::vector<double>> waits; ///< Seconds from asking to dispatch, by tenant.
  std::vector<failed_request> failures;
  steady::time_point last_answer{};

  void add(const std::string& tenant, const completion& x) {
    std::lock_guard guard{mutex};
    ++answered;
    waits[tenant].push_back(std::chrono::duration<double>{x.timings.queued}.count());
    last_answer = steady::now();
  }

  void add(request_id id, failure x) {
    std::lock_guard guard{mutex};
    ++failed[x.code];
    failures.push_back({id, std::move(x)});
  }

  uint64_t ended() {
    std::lock_guard guard{mutex};
    auto x = answered;
    for (auto& [code, n] : failed)
      x += n;
    return x;
  }
};

/// Sends requests and tallies what comes back.
class asker {
public:
  asker(
    caf::actor_system& system, const provider_actor& provider, tally& to, std::function<void()> on_end = [] {})
    : actor_(system.spawn(behavior, provider, &to, std::move(on_end))) {}

  ~asker() { caf::anon_send_exit(actor_, caf::exit_reason::kill); }

  asker(const asker&) = delete;
  asker& operator=(const asker&) = delete;

  void ask(chat_request x) { caf::anon_send(actor_, std::move(x)); }

private:
  static caf::behavior behavior(caf::event_based_actor* self, const provider_actor& provider, tally* to,
                                const std::function<void()>& on_end) {
    return {[=](chat_request& x) {
      auto tenant = x.tenant;
      auto id = x.id;
      self->request(provider, caf::infinite, std::move(x))
        .then(
          [=](const completion& y) {
            to->add(tenant, y);
            on_end();
          },
          [=](const caf::error& y) {
            to->add(id, failure_of(y));
            on_end();
          });
    }};
  }

  caf::actor actor_;
};

/// Keeps so many requests at the provider, until it ends or `most` have been sent. Ids are the same in every run, and
/// so are the faults that the simulator draws by them.
class feeder {
public:
  feeder(caf::actor_system& system, const provider_actor& provider, tally& to,
         std::function<chat_request(uint64_t)> make, uint64_t window, uint64_t most = UINT64_MAX)
    : make_(std::move(make)), most_(most), asker_(system, provider, to, [this] { next(); }) {
    for (uint64_t i = 0; i < window; ++i)
      next();
  }

  ~feeder() { stopped_ = true; }

private:
  void next() {
    auto n = sent_++;
    if (stopped_ || n >= most_)
      return;
    auto x = make_(n);
    x.id = {1, n + 1};
    asker_.ask(std::move(x));
  }

  std::function<chat_request(uint64_t)> make_;
  uint64_t most_;
  std::atomic<uint64_t> sent_ = 0;
  std::atomic<bool> stopped_ = false;
  asker asker_;
};

/// An actor system with one provider before a simulated server.
class stage {
public:
  stage(const simulator::options& server, provider_settings settings, runtime_settings runtime = {})
    : server_(server), system_(prepared(config_)) {
    settings.name = "sim";
    settings.kind = provider_kind::openai;
    settings.base_url = server_.url() + "/v1";
    settings.default_model = "demo";
    if (runtime.state_folder.empty())
      runtime.state_folder = "none";
    auto spawned = spawn_provider(system_, settings, runtime, make_transport());
    if (auto* why = std::get_if<failure>(&spawned)) {
      std::fprintf(stderr, "%s\n", to_string(*why).c_str());
      std::exit(2);
    }
    provider_ = std::get<provider_actor>(spawned);
  }

  ~stage() {
    caf::anon_send_exit(provider_, caf::exit_reason::user_shutdown);
    provider_ = nullptr;
  }

  simulator::server& server() { return server_; }
  caf::actor_system& system() { return system_; }
  const provider_actor& provider() const { return provider_; }

  provider_status status() {
    caf::scoped_actor self{system_};
    provider_status result;
    self->request(provider_, 10s, status_atom_v)
      .receive([&](provider_status& x) { result = std::move(x); }, [](const caf::error&) {});
    return result;
  }

private:
  static caf::actor_system_config& prepared(caf::actor_system_config& x) {
    apply(runtime_settings{}, x);
    return x;
  }

  simulator::server server_;
  caf::actor_system_config config_;
  caf::actor_system system_;
  provider_actor provider_;
};

chat_request question(uint64_t n, std::size_t words = 5) {
  chat_request x;
  std::string text = "Question " + std::to_string(n) + ":";
  for (std::size_t i = 0; i < words; ++i)
    text += i % 3 == 0 ? " river" : i % 3 == 1 ? " mountain" : " of";
  x.messages.push_back(text_message(role::user, std::move(text)));
  x.priority = priority::batch;
  return x;
}

std::chrono::seconds length{60};

// -- saturation -------------------------------------------------------------------

struct mix {
  const char* name;
  simulator::token_accounting server;
  counted_tokens client;
  uint64_t requests_per_minute;
  uint64_t tokens_per_minute;
};

/// Uses the limit for `length` and tells how much of it; the server refuses nothing.
void saturate(const mix& m) {
  simulator::options server;
  server.window = 20s;
  server.requests_per_minute = m.requests_per_minute;
  server.tokens_per_minute = m.tokens_per_minute;
  server.accounting = m.server;
  server.latency = 40ms;
  server.latency_jitter = 0.9;
  provider_settings client;
  client.max_concurrent = 200;
  client.interactive_slots = 0;
  client.retry.max_attempts = 1;
  client.rate_limit.window = 20s;
  client.rate_limit.token_accounting = m.client;
  if (m.requests_per_minute != 0)
    client.rate_limit.requests_per_minute = m.requests_per_minute;
  if (m.tokens_per_minute != 0)
    client.rate_limit.tokens_per_minute = m.tokens_per_minute;
  stage on{server, client};
  tally seen;
  auto max_output = [](uint64_t n) { return static_cast<uint32_t>(20 + n * 7919 % 200); };
  std::printf("saturation, %s: %lu requests/min, %lu tokens/min, window 20 s, %ld s\n", m.name, m.requests_per_minute,
              m.tokens_per_minute, static_cast<long>(length.count()));
  auto begin = steady::now();
  feeder feed{on.system(), on.provider(), seen,
              [&](uint64_t n) {
                auto x = question(n, 3 + n * 31 % 60);
                x.sampling.max_tokens = max_output(n);
                return x;
              },
              300};
  std::this_thread::sleep_until(begin + 20s);
  auto first = on.server().snapshot();
  std::this_thread::sleep_until(begin + length);
  auto last = on.server().snapshot();
  auto windows = std::chrono::duration<double>(length - 20s).count() / 20;
  auto requests = static_cast<double>(last.admitted - first.admitted);
  auto part = [&](double used, uint64_t per_minute) { return used / (static_cast<double>(per_minute) / 3 * windows); };
  double use = 0;
  if (m.requests_per_minute != 0)
    use = std::max(use, part(requests, m.requests_per_minute));
  if (m.tokens_per_minute != 0) {
    auto tokens = static_cast<double>(last.charged_tokens - first.charged_tokens);
    use = std::max(use, part(tokens, m.tokens_per_minute));
  }
  std::printf("  %lu requests, %lu refused with 429, fullest window %lu requests and %lu tokens, use %.1f %%\n",
              last.requests, last.rejected, last.window_requests, last.window_tokens, 100 * use);
  promise("no 429", last.rejected == 0);
  promise("use at least 97 %", use >= 0.97);
}

void saturation() {
  saturate({"requests", simulator::token_accounting::arrival, counted_tokens::automatic, 1200, 0});
  saturate({"tokens by arrival", simulator::token_accounting::arrival, counted_tokens::arrival, 0, 120'000});
  saturate({"tokens produced", simulator::token_accounting::produced, counted_tokens::produced, 0, 120'000});
  saturate({"input tokens", simulator::token_accounting::input, counted_tokens::input, 0, 60'000});
  saturate({"both", simulator::token_accounting::arrival, counted_tokens::arrival, 1200, 130'000});
}

// -- faults -----------------------------------------------------------------------

/// How a request ends whose last attempt had the fault.
struct told_as {
  errc code;
  uint16_t status; ///< 0: no answer began.
};

const std::map<std::string, told_as> true_errors = {
  {"500", {errc::server_error, 500}},
  {"503", {errc::overloaded, 503}},
  {"529", {errc::overloaded, 529}},
  {"429", {errc::rate_limited, 429}},
  {"reset", {errc::connection_lost, 0}},
  {"reset_mid", {errc::connection_lost, 200}},
  {"truncated", {errc::connection_lost, 200}},
};

/// Whether the error is the fault that the simulator injected last for that request id, after as many attempts.
bool is_true(const failed_request& x, uint16_t port) {
  auto seen = test::fetch(port, "GET", "/__simulator/faults/" + to_string(x.id)).parsed();
  auto fault = seen.value("fault", std::string{"none"});
  auto expected = true_errors.find(fault);
  auto equal = expected != true_errors.end() && x.why.code == expected->second.code
               && x.why.http_status == expected->second.status && x.why.attempts.size() == seen.value("attempts", 0u);
  if (!equal)
    std::printf("  the simulator tells %s, the error status %u: %s\n", seen.dump().c_str(), x.why.http_status,
                to_string(x.why).c_str());
  return equal;
}

void faults() {
  std::puts("faults: 30 % of the answers fail, 3 attempts, 5,000 requests; the retry budget makes it 17 minutes");
  simulator::options server;
  for (auto& fault : {"500=0.08", "503=0.06", "529=0.04", "429=0.04", "reset=0.04", "reset_mid=0.02", "truncated=0.02"})
    simulator::add_fault(server, fault);
  provider_settings client;
  client.max_concurrent = 100;
  client.interactive_slots = 0;
  client.retry.base_wait = 50ms;
  client.retry.on_empty_budget = empty_budget::wait;
  client.circuit_breaker.failure_share = 0.9;
  client.circuit_breaker.consecutive_failures = 50;
  stage on{server, client};
  tally seen;
  auto begin = steady::now();
  {
    auto make = [](uint64_t n) {
      auto x = question(n);
      x.priority = priority::interactive; // what a batch item is refused costs none of its attempts
      x.deadline = 30min;
      return x;
    };
    feeder feed{on.system(), on.provider(), seen, make, 200, 5000};
    auto told = begin;
    while (seen.ended() < 5000 && steady::now() < begin + 25min) {
      std::this_thread::sleep_for(20ms);
      if (steady::now() < told + 1min)
        continue;
      told += 1min;
      std::printf("  %lu of 5,000 have ended\n", seen.ended());
      std::fflush(stdout);
    }
  }
  auto x = on.server().snapshot();
  auto part = static_cast<double>(seen.answered) / 5000;
  std::printf("  %lu answered, %zu failed, %lu attempts, at most %lu for one request, in %.1f s\n", seen.answered,
              seen.failures.size(), x.attempts, x.attempts_per_request,
              std::chrono::duration<double>(steady::now() - begin).count());
  promise("at least 97 % answered", part >= 0.97);
  promise("every request ended", seen.ended() == 5000);
  promise("at most 3 attempts for each", x.attempts_per_request <= 3);
  auto equal =
    std::count_if(seen.failures.begin(), seen.failures.end(), [&](auto& y) { return is_true(y, on.server().port()); });
  std::printf("  true error: %zu failed requests compared, %ld equal to the fault injected last\n",
              seen.failures.size(), static_cast<long>(equal));
  promise("each error is the fault that was injected last", static_cast<std::size_t>(equal) == seen.failures.size());
}

void storm() {
  std::puts("storm: every answer fails, 200 in flight, 20 s");
  simulator::options server;
  simulator::add_fault(server, "503=1");
  server.latency = 10ms;
  provider_settings client;
  client.max_concurrent = 200;
  client.interactive_slots = 0;
  client.retry.base_wait = 20ms;
  client.retry.on_empty_budget = empty_budget::fail;
  client.circuit_breaker.enabled = false; // which would stop it earlier
  stage on{server, client};
  tally seen;
  auto begin = steady::now();
  feeder feed{on.system(), on.provider(), seen, [](uint64_t n) { return question(n); }, 200};
  std::this_thread::sleep_for(20s);
  auto seconds = std::chrono::duration<double>(steady::now() - begin).count();
  auto x = on.server().snapshot();
  auto most = 1.2 * static_cast<double>(x.first_attempts) + seconds;
  std::printf("  %lu first attempts, %lu attempts, bound %.0f\n", x.first_attempts, x.attempts, most);
  promise("attempts within 1.2 x first attempts + 1/s", static_cast<double>(x.attempts) <= most);
}

void halved() {
  std::puts("a server limit at half of the configured one (600 instead of 1,200 requests/min, window 10 s), 40 s");
  simulator::options server;
  server.window = 10s;
  server.requests_per_minute = 600;
  server.latency = 20ms;
  provider_settings client;
  client.max_concurrent = 100;
  client.interactive_slots = 0;
  client.rate_limit.requests_per_minute = 1200;
  client.rate_limit.window = 10s;
  stage on{server, client};
  tally seen;
  feeder feed{on.system(), on.provider(), seen, [](uint64_t n) { return question(n); }, 200};
  std::this_thread::sleep_for(11s);
  auto first = on.server().snapshot();
  std::this_thread::sleep_for(29s);
  auto last = on.server().snapshot();
  std::printf("  429: %lu in the first window, %lu afterwards\n", first.rejected, last.rejected - first.rejected);
  promise("none after one window", last.rejected == first.rejected);
}

void retry_after() {
  std::puts("Retry-After: 3 on the first answer; 3,600 with a deadline of 30 s");
  simulator::options server;
  simulator::add_fault(server, "429_retry_after=1");
  server.retry_after = 3s;
  server.fault_until = 2s;
  provider_settings client;
  {
    stage on{server, client};
    tally seen;
    asker one{on.system(), on.provider(), seen};
    one.ask(question(1));
    std::this_thread::sleep_for(200ms);
    asker two{on.system(), on.provider(), seen};
    two.ask(question(2));
    for (int i = 0; i < 500 && seen.ended() < 2; ++i)
      std::this_thread::sleep_for(10ms);
    auto waited = seen.waits[""].empty() ? 0.0 : *std::max_element(seen.waits[""].begin(), seen.waits[""].end());
    std::printf("  the second request, asked 0.2 s later, was held %.3f s\n", waited);
    promise("both answered, the second held by the pause to within 0.1 s",
            seen.answered == 2 && waited >= 2.75 && waited < 2.95);
  }
  server.retry_after = 3600s;
  stage on{server, client};
  tally seen;
  asker one{on.system(), on.provider(), seen};
  auto x = question(1);
  x.priority = priority::interactive;
  x.deadline = 30s;
  auto begin = steady::now();
  one.ask(x);
  while (seen.ended() < 1 && steady::now() < begin + 5s)
    std::this_thread::sleep_for(1ms);
  auto took = std::chrono::duration<double>(steady::now() - begin).count();
  promise("ended within a second, with the wait in text and field",
          took < 1 && !seen.failures.empty() && seen.failures[0].why.retry_after == 3600s
            && seen.failures[0].why.message.find("60 min") != std::string::npos);
}

void breaker() {
  std::puts("breaker: the server fails for 20 s at 100 requests/s, open_for 2 s");
  simulator::options server;
  server.latency = 10ms;
  simulator::add_fault(server, "503=1");
  server.fault_from = 3s;
  server.fault_until = 23s;
  provider_settings client;
  client.max_concurrent = 100;
  client.interactive_slots = 0;
  client.retry.max_attempts = 1;
  client.circuit_breaker.open_for = 2s;
  stage on{server, client};
  tally seen;
  asker one{on.system(), on.provider(), seen};
  auto begin = steady::now();
  uint64_t n = 0, answered_at_25 = 0;
  simulator::stats at_5, at_22;
  for (auto tick = begin; tick < begin + 28s; tick += 10ms) {
    std::this_thread::sleep_until(tick);
    if (tick == begin + 5s)
      at_5 = on.server().snapshot();
    if (tick == begin + 22s)
      at_22 = on.server().snapshot();
    if (tick == begin + 25500ms)
      answered_at_25 = seen.ended() - seen.failures.size();
    auto x = question(++n);
    x.priority = priority::interactive;
    one.ask(std::move(x));
  }
  std::this_thread::sleep_for(500ms);
  std::printf("  between 5 s and 22 s the server saw %lu requests; %lu answered by 25.5 s, %lu in all\n",
              at_22.requests - at_5.requests, answered_at_25, seen.answered);
  promise("only probes while it is down", at_22.requests - at_5.requests <= 9);
  promise("back within one open period", seen.answered - answered_at_25 >= 240 && answered_at_25 >= 300);
  promise("every request ended", seen.ended() == n);
}

void fairness() {
  std::puts("fairness: tenant A has 10,000 queued, tenant B sends one a second; 600 requests/min, 40 s");
  simulator::options server;
  server.latency = 20ms;
  provider_settings client;
  client.max_concurrent = 20;
  client.interactive_slots = 0;
  client.rate_limit.requests_per_minute = 600;
  client.rate_limit.burst = 1;
  client.rate_limit.window = 10s;
  runtime_settings runtime;
  runtime.max_queued = 20'000;
  stage on{server, client, runtime};
  tally seen;
  asker one{on.system(), on.provider(), seen};
  for (uint64_t i = 0; i < 10'000; ++i) {
    auto x = question(i);
    x.tenant = "A";
    one.ask(std::move(x));
  }
  for (uint64_t i = 0; i < 40; ++i) {
    std::this_thread::sleep_for(1s);
    auto x = question(20'000 + i);
    x.tenant = "B";
    one.ask(std::move(x));
  }
  std::this_thread::sleep_for(1s);
  std::lock_guard guard{seen.mutex};
  auto& waits = seen.waits["B"];
  std::sort(waits.begin(), waits.end());
  auto p95 = waits.empty() ? 1e9 : waits[waits.size() * 95 / 100];
  // Its fair share: every second dispatch, one each 0.2 s.
  std::printf("  B: %zu answered, 95th percentile of waiting %.3f s; A: %zu answered\n", waits.size(), p95,
              seen.waits["A"].size());
  promise("B waits at most twice its fair share (0.4 s)", waits.size() >= 39 && p95 <= 0.4);
}

void adaptive() {
  std::puts("adaptive: 8 slots at the server, each answer 50 ms + 5 ms a token");
  simulator::options server;
  server.slots = 8;
  server.latency = 50ms;
  server.tokens_per_second = 200;
  auto rate = [&](uint32_t concurrent, bool adapts, std::vector<uint32_t>* limits) {
    provider_settings client;
    client.max_concurrent = concurrent;
    client.interactive_slots = 0;
    client.adaptive = adapts;
    stage on{server, client};
    tally seen;
    feeder feed{on.system(), on.provider(), seen, [](uint64_t n) { return question(n); }, 100};
    std::this_thread::sleep_for(adapts ? 20s : 3s);
    auto before = seen.ended();
    for (int i = 0; i < 20; ++i) {
      std::this_thread::sleep_for(500ms);
      if (limits != nullptr)
        limits->push_back(on.status().lanes.at(0).slots);
    }
    return static_cast<double>(seen.ended() - before) / 10;
  };
  auto best = std::max(rate(8, false, nullptr), rate(10, false, nullptr));
  std::vector<uint32_t> limits;
  auto mine = rate(64, true, &limits);
  auto [least, most] = std::minmax_element(limits.begin(), limits.end());
  std::printf("  limit %u to %u, %.1f answers/s; the best fixed limit %.1f\n", *least, *most, mine, best);
  promise("settles at 8 +- 2", *least >= 6 && *most <= 10);
  promise("at least 90 % of the best fixed limit's throughput", mine >= 0.9 * best);
}

// -- cost -------------------------------------------------------------------------

/// CPU of a request from `accept` to `end` while so many are queued, in microseconds.
double dispatcher_cost(uint64_t queued) {
  dispatcher_settings settings;
  settings.max_queued = 2'000'000;
  auto& group = settings.groups[0];
  group.max_concurrent = 64;
  group.limits.per_minute = {1'000'000'000, 1'000'000'000'000, {}, {}}; // counted, and never reached
  group.limits.burst = 1000;
  dispatcher x{settings, 1};
  auto now = steady::now();
  uint64_t asked = 0;
  std::deque<dispatcher::attempt_id> under_way;
  auto ask = [&] {
    dispatcher::offer o{.id = {1, ++asked}, .tenant = std::to_string(asked % 10), .bytes = 100};
    o.cost.arriving = {1, 500, 0, 0};
    x.accept(std::move(o), now);
    while (auto step = x.next(now))
      if (auto* send = std::get_if<dispatcher::dispatch>(&*step)) {
        under_way.push_back(send->attempt);
        x.written(send->attempt, now);
      }
    x.wake_at(now);
  };
  while (asked < queued + group.max_concurrent)
    ask();
  constexpr int rounds = 200'000;
  auto begin = std::clock();
  for (int i = 0; i < rounds; ++i) {
    now += 100us;
    dispatcher::attempt_end how;
    how.real.emplace().arriving = {1, 400, 0, 0};
    x.end(under_way.front(), how, now);
    under_way.pop_front();
    ask();
  }
  return static_cast<double>(std::clock() - begin) * 1e6 / CLOCKS_PER_SEC / rounds;
}

void queue() {
  std::puts("queue: what a request costs the dispatcher; 64 in flight, two limits, 10 tenants");
  double most = 0;
  for (uint64_t queued : {100, 1000, 10'000, 100'000, 1'000'000}) {
    auto cost = dispatcher_cost(queued);
    std::printf("  %7lu queued: %.2f us\n", queued, cost);
    most = std::max(most, cost);
  }
  promise("under 5 us of CPU each", most < 5);
}

// -- kill -9 ------------------------------------------------------------------------

void kill_and_restart(const std::string& program) {
  std::puts("kill -9: 20 times under load, 1,200 requests/min, window 20 s");
  auto folder = std::filesystem::temp_directory_path() / ("modelforge-kill-" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  simulator::options server;
  server.window = 20s;
  server.requests_per_minute = 1200;
  server.latency = 30ms;
  simulator::server sim{server};
  auto config = (folder / "modelforge.toml").string();
  std::ofstream{config} << "[runtime]\nstate_folder = \"" << (folder / "state").string()
                        << "\"\n[providers.sim]\nkind = \"openai\"\nbase_url = \"" << sim.url()
                        << "/v1\"\ndefault_model = \"demo\"\nmax_concurrent = 100\n"
                           "rate_limit = { requests_per_minute = 1200, window = 20 }\n";
  auto input = (folder / "prompts.txt").string();
  {
    std::ofstream out{input};
    for (int i = 0; i < 20'000; ++i)
      out << "Question " << i << "\n";
  }
  std::mt19937 random{7};
  for (int i = 0; i < 20; ++i) {
    auto pid = fork();
    if (pid == 0) {
      std::freopen("/dev/null", "w", stderr);
      auto output = (folder / "out.jsonl").string();
      execl(program.c_str(), program.c_str(), "batch", input.c_str(), "-o", output.c_str(), "-c", config.c_str(), "-q",
            "--max-concurrent", "90", static_cast<char*>(nullptr));
      _exit(127);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{300 + random() % 4000});
    kill(pid, SIGKILL);
    int status = 0;
    waitpid(pid, &status, 0);
    if (WIFEXITED(status))
      std::printf("  the program ended by itself: %d\n", WEXITSTATUS(status));
  }
  auto x = sim.snapshot();
  std::printf("  %lu requests, %lu refused with 429, fullest window %lu of 400\n", x.requests, x.rejected,
              x.window_requests);
  promise("no 429", x.rejected == 0 && x.requests > 400);
  std::filesystem::remove_all(folder);
}

// -- a batch ----------------------------------------------------------------------

/// The longest of these waits, after the time that the request's own charge takes at the limit.
double longest(const std::vector<double>& waits) {
  return waits.empty() ? 0 : *std::max_element(waits.begin(), waits.end());
}

/// A batch uses a strict limit while a fifth of the answers fail; interactive requests come between.
void batch() {
  constexpr uint64_t per_minute = 3'000;
  auto items = per_minute * static_cast<uint64_t>(length.count()) / 60;
  std::printf("batch: %lu items, 20 %% of the answers fail, %lu requests/min, window 20 s, an interactive request a "
              "second\n",
              items, per_minute);
  simulator::options server;
  server.window = 20s;
  server.requests_per_minute = per_minute;
  server.latency = 40ms;
  server.latency_jitter = 0.9;
  for (auto& fault : {"500=0.06", "503=0.05", "529=0.03", "reset=0.03", "reset_mid=0.02", "truncated=0.01"})
    simulator::add_fault(server, fault);
  provider_settings client;
  client.max_concurrent = 101;
  client.interactive_slots = 1;
  client.rate_limit.requests_per_minute = per_minute;
  client.rate_limit.window = 20s;
  client.rate_limit.burst = 1; // what may leave at once leaves gaps, for which an interactive request may have to wait
  client.retry.max_attempts = 6;
  client.retry.base_wait = 50ms;
  client.retry.on_empty_budget = empty_budget::wait;
  client.circuit_breaker.failure_share = 0.9;
  client.circuit_breaker.consecutive_failures = 50;
  stage on{server, client};
  auto folder = std::filesystem::temp_directory_path() / ("modelforge-bench-" + std::to_string(getpid()));
  std::filesystem::create_directory(folder);
  {
    std::ofstream input{folder / "prompts.txt"};
    for (uint64_t i = 0; i < items; ++i)
      input << "Question " << i << ": why is the sky blue?\n";
  }
  batch_options options;
  options.input = folder / "prompts.txt";
  options.output = folder / "answers.jsonl";
  options.max_concurrent = 100;
  auto spawned = spawn_batch(on.system(), on.provider(), options);
  std::atomic<bool> ended = false;
  batch_report report;
  auto begin = steady::now();
  on.system().spawn([&](caf::event_based_actor* self) {
    self->request(std::get<batch_coordinator_actor>(spawned), caf::infinite, run_atom_v)
      .then(
        [&](const batch_report& x) {
          report = x;
          ended = true;
        },
        [&](const caf::error&) { ended = true; });
  });
  tally seen;
  asker ask{on.system(), on.provider(), seen};
  uint64_t asked = 0;
  std::vector<std::pair<double, simulator::stats>> seconds_seen; // while items are left that have not been sent
  while (!ended && steady::now() < begin + 10min) {
    std::this_thread::sleep_for(1s);
    if (ended)
      break;
    if (auto now = on.server().snapshot(); now.first_attempts < items)
      seconds_seen.emplace_back(std::chrono::duration<double>(steady::now() - begin).count(), now);
    auto x = question(1'000'000 + asked++);
    x.priority = priority::interactive;
    ask.ask(std::move(x));
  }
  while (seen.ended() < asked && steady::now() < begin + 10min)
    std::this_thread::sleep_for(10ms);
  auto seconds = std::chrono::duration<double>(steady::now() - begin).count();
  auto x = on.server().snapshot();
  std::ifstream output{folder / "answers.jsonl"};
  uint64_t lines = 0;
  for (std::string line; std::getline(output, line);)
    ++lines;
  std::filesystem::remove_all(folder);
  auto& first = seconds_seen[1];
  auto& last = seconds_seen.back();
  auto busy = static_cast<double>(last.second.admitted - first.second.admitted)
              / (per_minute / 60.0 * (last.first - first.first));
  std::printf("  %lu answered, %lu failed, %lu attempts in %.1f s; 429: %lu; of the limit used, until %.0f s, when "
              "all had been sent once: %.1f %%\n",
              report.answered, report.failed, x.attempts, seconds, x.rejected, last.first, 100 * busy);
  std::printf("  %lu interactive requests, waited %.0f ms at most, half of them %.0f ms, 90 %% %.0f ms; a request's "
              "charge is %.0f "
              "ms of the limit\n",
              asked, 1e3 * longest(seen.waits[""]), 1e3 * bench::quantile(seen.waits[""], 0.5),
              1e3 * bench::quantile(seen.waits[""], 0.9), 60e3 / per_minute);
  promise("every item has a line", lines == items);
  promise("no 429", x.rejected == 0);
  promise("97 % of the limit used", busy >= 0.97);
  // Its own charge, the time to a free slot (there is one), and what two cores that all this shares take.
  promise("interactive requests are next", longest(seen.waits[""]) <= 60.0 / per_minute + 0.1);
}

struct scenario {
  const char* name;
  void (*run)();
};

constexpr scenario scenarios[] = {{"saturation", saturation},
                                  {"faults", faults},
                                  {"storm", storm},
                                  {"halved", halved},
                                  {"retry_after", retry_after},
                                  {"breaker", breaker},
                                  {"fairness", fairness},
                                  {"adaptive", adaptive},
                                  {"queue", queue},
                                  {"batch", batch}};

} // namespace

int main(int argc, char** argv) {
  init_types();
  std::vector<std::string> wanted;
  for (int i = 1; i < argc; ++i)
    if (std::strcmp(argv[i], "--seconds") == 0 && i + 1 < argc)
      length = std::chrono::seconds{std::max(30, std::atoi(argv[++i]))};
    else
      wanted.push_back(argv[i]);
  for (std::size_t i = 0; i + 1 < wanted.size(); ++i)
    if (wanted[i] == "kill") {
      kill_and_restart(wanted[i + 1]);
      wanted.erase(wanted.begin() + static_cast<std::ptrdiff_t>(i),
                   wanted.begin() + static_cast<std::ptrdiff_t>(i) + 2);
      if (wanted.empty())
        return all_kept ? 0 : 1;
    }
  for (auto& x : scenarios)
    if (wanted.empty() || std::find(wanted.begin(), wanted.end(), x.name) != wanted.end())
      x.run();
  return all_kept ? 0 : 1;
}
