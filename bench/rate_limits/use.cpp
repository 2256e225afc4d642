#include "bench/measure.hpp"
#include "bench/rate_limits/scenarios.hpp"
#include "bench/rate_limits/stage.hpp"

#include <algorithm>
#include <thread>

namespace modelforge::bench::rate_limits {

namespace {

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

} // namespace

void saturation() {
  saturate({"requests", simulator::token_accounting::arrival, counted_tokens::automatic, 1200, 0});
  saturate({"tokens by arrival", simulator::token_accounting::arrival, counted_tokens::arrival, 0, 120'000});
  saturate({"tokens produced", simulator::token_accounting::produced, counted_tokens::produced, 0, 120'000});
  saturate({"input tokens", simulator::token_accounting::input, counted_tokens::input, 0, 60'000});
  saturate({"both", simulator::token_accounting::arrival, counted_tokens::arrival, 1200, 130'000});
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

} // namespace modelforge::bench::rate_limits
