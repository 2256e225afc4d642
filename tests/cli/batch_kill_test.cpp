#include "tests/cli/cli_fixture.hpp"
#include "tests/http/waiting.hpp"
#include "tools/simulator/simulator.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <map>
#include <mutex>
#include <random>
#include <sstream>
#include <thread>

namespace modelforge::batch_kill_test {

// A batch that is killed again and again ends whole. MODELFORGE_SEED runs another series of moments.

using namespace std::chrono_literals;
using namespace modelforge::test;

namespace {

/// The number behind "prompt " in a request or a result; -1: there is none.
int number_in(const std::string& text) {
  auto at = text.find("prompt ");
  return at == text.npos ? -1 : std::atoi(text.c_str() + at + 7);
}

uint64_t seed() {
  auto* given = std::getenv("MODELFORGE_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : 20'261'123;
}

/// Answers "echo prompt N", a little later, and counts who asked what.
class echo_server {
public:
  std::string url() { return server_.url(""); }

  int asked() {
    std::lock_guard lock{mutex_};
    return asked_;
  }

  std::map<int, int> by_prompt() {
    std::lock_guard lock{mutex_};
    return by_prompt_;
  }

private:
  void serve(peer& x) {
    while (auto request = x.read_request()) {
      auto number = number_in(*request);
      {
        std::lock_guard lock{mutex_};
        ++asked_;
        ++by_prompt_[number];
      }
      std::this_thread::sleep_for(4ms); // so that kills meet requests in flight
      x.send(whole_answer(
        200, R"({"model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"echo prompt )"
               + std::to_string(number)
               + R"(."},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}})"));
    }
  }

  std::mutex mutex_;
  int asked_ = 0;
  std::map<int, int> by_prompt_;
  misbehaving_server server_{[this](peer& x) { serve(x); }};
};

} // namespace

TEST_CASE_METHOD(cli_test, "a batch that is killed a hundred times has every result once, and asks for little twice",
                 "[cli][batch]") {
  constexpr int items = 2'000;
  constexpr int kills = 100;
  constexpr int in_flight = 8;
  echo_server server;
  std::string prompts;
  for (int i = 0; i < items; ++i)
    prompts += "prompt " + std::to_string(i) + "\n";
  auto options = command({"batch", "-c", configure(server.url()), "--max-concurrent", std::to_string(in_flight), "-q",
                          folder.write("in.txt", prompts), "-o", folder.path("out.jsonl")});
  std::mt19937_64 random{seed()};
  CAPTURE(seed());
  int met = 0;
  for (int i = 0; i < kills; ++i) {
    // Some die before they have asked anything, some in the middle of it: so many requests later, and then a moment.
    auto left = items - static_cast<int>(server.by_prompt().size());
    met += left > 0;
    auto until = server.asked() + std::min(left, static_cast<int>(random() % 16));
    background_process batch{options.arguments};
    CHECK(eventually([&] { return server.asked() >= until; }));
    std::this_thread::sleep_for(std::chrono::microseconds{random() % 6'000}); // the moment, not a condition
    batch.end(SIGKILL);
  }
  CHECK(met >= kills / 2); // of the kills, those that met a batch that was not over
  auto x = run_process(options);
  INFO(x.err);
  REQUIRE(x.exit_code == 0);
  std::istringstream out{folder.read("out.jsonl")};
  int lines = 0;
  for (std::string line; std::getline(out, line); ++lines) {
    INFO(line);
    REQUIRE(contains(line, "\"custom_id\":\"line-" + std::to_string(lines + 1) + "\""));
    REQUIRE(contains(line, "\"echo prompt " + std::to_string(lines) + ".\""));
  }
  CHECK(lines == items);
  int again = 0;
  for (auto& [number, times] : server.by_prompt()) {
    REQUIRE(number >= 0);
    again += times - 1;
  }
  CHECK(server.by_prompt().size() == items);
  // In flight at a kill is what was asked and not safe: the window, and answers of the last group.
  CHECK(again <= kills * 2 * in_flight); // what was in flight, and what was being synced
  WARN("asked again: " << again << " in " << kills << " kills, " << in_flight << " in flight; " << met
                       << " kills met an unfinished batch");
}

TEST_CASE_METHOD(cli_test, "a batch whose jobs' runs are killed makes each job once, and runs each item once",
                 "[cli][batch]") {
  constexpr int items = 2'000;
  // All hundred kills of the full test take two minutes: what looks whether a job exists waits ten seconds.
  auto* wanted = std::getenv("MODELFORGE_KILLS");
  auto kills = wanted != nullptr ? std::atoi(wanted) : 25;
  simulator::options behaviour;
  behaviour.batch_time = 100ms;
  behaviour.batch_silence = 0.2; // of the creations: they arrive, but nobody is told
  behaviour.latency = 2ms;
  simulator::server server{behaviour};
  std::string prompts;
  for (int i = 0; i < items; ++i)
    prompts += "What is " + std::to_string(i) + " * 3?\n";
  auto config = folder.write("jobs.toml", "[providers.test]\nkind = \"openai\"\nbase_url = \"" + server.url()
                                            + "/v1\"\ndefault_model = \"sim-mini\"\n");
  auto options = command({"batch", "-c", config, "--mode", "provider", "--job-items", "100", "-q",
                          folder.write("in.txt", prompts), "-o", folder.path("out.jsonl")});
  options.most = 110s;
  std::mt19937_64 random{seed()};
  CAPTURE(seed());
  for (int i = 0; i < kills; ++i) {
    background_process batch{options.arguments};
    // Most die in the middle of uploads, creations and downloads; some live until what is not there is known not to be.
    auto life = i % 12 == 11 ? 11s + 500ms : std::chrono::milliseconds{random() % 300};
    std::this_thread::sleep_for(life); // the moment, not a condition
    batch.end(SIGKILL);
  }
  // Nobody waits ten minutes for a creation that says nothing: these are cut off, too, until none is silent any more.
  behaviour.batch_silence = 0;
  server.configure(behaviour);
  auto x = run_process(options);
  INFO(x.err);
  REQUIRE(x.exit_code == 0);
  std::istringstream out{folder.read("out.jsonl")};
  int lines = 0;
  for (std::string line; std::getline(out, line); ++lines) {
    INFO(line);
    REQUIRE(contains(line, "\"custom_id\":\"line-" + std::to_string(lines + 1) + "\""));
    REQUIRE(contains(line, std::to_string(lines * 3)));
  }
  CHECK(lines == items);
  auto seen = server.snapshot();
  CHECK(seen.batch_items == items);
  CHECK(seen.batch_asked == items); // no job was made twice: what one was not known to hold may be shared out anew
  CHECK(seen.batch_jobs >= items / 100);
  WARN("jobs: " << seen.batch_jobs << ", items run: " << seen.batch_items);
}

} // namespace modelforge::batch_kill_test
