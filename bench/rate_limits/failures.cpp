#include "bench/measure.hpp"
#include "bench/rate_limits/scenarios.hpp"
#include "bench/rate_limits/stage.hpp"
#include "tests/simulator/client.hpp"

#include <algorithm>
#include <thread>

namespace modelforge::bench::rate_limits {

namespace {

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

} // namespace

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

} // namespace modelforge::bench::rate_limits
