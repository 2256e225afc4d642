#include "bench/measure.hpp"
#include "bench/rate_limits/scenarios.hpp"
#include "bench/rate_limits/stage.hpp"

#include <modelforge/actors/batch_coordinator.hpp>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace modelforge::bench::rate_limits {

namespace {

/// The longest of these waits, after the time that the request's own charge takes at the limit.
double longest(const std::vector<double>& waits) {
  return waits.empty() ? 0 : *std::max_element(waits.begin(), waits.end());
}

} // namespace

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
              asked, 1e3 * longest(seen.waits[""]), 1e3 * quantile(seen.waits[""], 0.5),
              1e3 * quantile(seen.waits[""], 0.9), 60e3 / per_minute);
  promise("every item has a line", lines == items);
  promise("no 429", x.rejected == 0);
  promise("97 % of the limit used", busy >= 0.97);
  // Its own charge, the time to a free slot (there is one), and what two cores that all this shares take.
  promise("interactive requests are next", longest(seen.waits[""]) <= 60.0 / per_minute + 0.1);
}

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

} // namespace modelforge::bench::rate_limits
