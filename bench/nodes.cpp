/// Nodes over TLS: whether three of them share one provider's limit exactly and fairly, and what a call through a
/// second node costs beside a local one.
///
/// Usage: nodes limits [SECONDS=120]
///          Three programs on loopback send at once through one of them, which owns the provider, to the simulated
///          provider with a strict limit.
///        nodes cost [REQUESTS=5000] [IN_FLIGHT=64] [ROUNDS=5]
///          Latency one by one, and requests a second: local beside through another program over TLS, in turn, against
///          one nginx.
/// Run from the source folder: certificates are made by script/certs.

#include "bench/measure.hpp"
#include "bench/nginx.hpp"
#include "tools/simulator/simulator.hpp"

#include <modelforge/actors/runtime.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

using namespace modelforge;
using namespace modelforge::bench;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

constexpr uint64_t per_minute = 3'000;
constexpr auto window = 10s;

constexpr auto answer =
  R"({"id":"chatcmpl-1","object":"chat.completion","created":1790000000,"model":"demo-mini","choices":[{"index":0,)"
  R"("message":{"role":"assistant","content":"The sky looks blue because the molecules of the air scatter short waves )"
  R"(of sunlight far more than long ones."},"finish_reason":"stop"}],"usage":{"prompt_tokens":14,)"
  R"("completion_tokens":22,"total_tokens":36}})";

settings settings_of(const std::string& name, const std::string& certs, const std::string& url) {
  settings x;
  x.runtime.state_folder = "none";
  x.runtime.max_queued = 100'000;
  x.node.name = name;
  x.node.tls = {certs + "/" + name + ".pem", certs + "/" + name + ".key", certs + "/ca.pem"};
  auto& p = x.providers.emplace_back();
  p.name = "bench";
  p.kind = provider_kind::openai_compatible;
  p.base_url = url + "/v1";
  p.default_model = "demo-mini";
  p.max_concurrent = 256;
  p.nodes = {"a"};
  return x;
}

settings owner_of(const std::string& certs, const std::string& url, bool limited) {
  auto x = settings_of("a", certs, url);
  x.node.listen = "127.0.0.1:0";
  if (limited) {
    x.providers[0].rate_limit.requests_per_minute = per_minute;
    x.providers[0].rate_limit.window = window;
    x.providers[0].rate_limit.burst = 1;
  }
  return x;
}

settings guest_of(const std::string& name, const std::string& certs, const std::string& peer) {
  auto x = settings_of(name, certs, "http://127.0.0.1:9");
  x.node.peers = {peer};
  return x;
}

chat_request question() {
  chat_request x;
  x.messages.push_back(text_message(role::user, "Why is the sky blue?"));
  return x;
}

/// Keeps so many requests in flight until `stop`; returns how many were answered.
uint64_t keep_asking(runtime& ai, std::size_t in_flight, const std::function<bool(uint64_t begun)>& stop) {
  auto start = steady::now();
  std::atomic<uint64_t> open = 0, answered = 0, failed = 0;
  for (uint64_t begun = 0; !stop(begun);) {
    auto now = open.load();
    if (now >= in_flight) {
      open.wait(now);
      continue;
    }
    ++begun;
    ++open;
    ai.chat(question(), [&](const expected<completion>& x) {
      x ? ++answered : ++failed;
      if (!x && failed == 1)
        std::fprintf(stderr, "a request failed after %.1f s: %s\n",
                     std::chrono::duration<double>{steady::now() - start}.count(), to_string(x.error()).c_str());
      --open;
      open.notify_all();
    });
  }
  for (auto now = open.load(); now != 0; now = open.load())
    open.wait(now);
  if (failed > 0)
    std::fprintf(stderr, "%llu requests failed\n", static_cast<unsigned long long>(failed.load()));
  return answered;
}

// -- other programs ----------------------------------------------------------------

/// This program again in another role; tells lines on its standard output, ends with its standard input.
class child {
public:
  explicit child(std::vector<std::string> arguments) {
    std::array<int, 2> in{}, out{};
    if (pipe2(in.data(), O_CLOEXEC) != 0 || pipe2(out.data(), O_CLOEXEC) != 0)
      die("pipe failed");
    pid_ = fork();
    if (pid_ == 0) {
      dup2(in[0], 0);
      dup2(out[1], 1);
      arguments.insert(arguments.begin(), "nodes");
      std::vector<char*> pointers;
      for (auto& x : arguments)
        pointers.push_back(x.data());
      pointers.push_back(nullptr);
      execv("/proc/self/exe", pointers.data());
      _exit(127);
    }
    close(in[0]);
    close(out[1]);
    to_ = in[1];
    from_ = fdopen(out[0], "r");
  }

  ~child() {
    close(to_);
    std::fclose(from_);
    for (int i = 0; i < 500 && waitpid(pid_, nullptr, WNOHANG) == 0; ++i)
      std::this_thread::sleep_for(10ms);
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

  child(const child&) = delete;
  child& operator=(const child&) = delete;

  std::string read_line() {
    std::array<char, 256> line{};
    if (std::fgets(line.data(), line.size(), from_) == nullptr)
      die("a node ended");
    std::string text = line.data();
    text.pop_back();
    return text;
  }

private:
  pid_t pid_ = -1;
  int to_ = -1;
  FILE* from_ = nullptr;
};

void wait_for_end_of_input() {
  char c = 0;
  while (read(0, &c, 1) > 0)
    continue;
}

int be_owner(const std::string& certs, const std::string& url, bool limited, double seconds) {
  runtime ai{owner_of(certs, url, limited)};
  std::printf("%s\n", ai.node().listening.c_str());
  std::fflush(stdout);
  if (seconds > 0) {
    auto until = steady::now() + std::chrono::duration<double>{seconds};
    auto answered = keep_asking(ai, 64, [&](uint64_t) { return steady::now() >= until; });
    std::printf("%llu\n", static_cast<unsigned long long>(answered));
    std::fflush(stdout);
  }
  wait_for_end_of_input();
  return 0;
}

int be_guest(const std::string& name, const std::string& certs, const std::string& peer, double seconds) {
  runtime ai{guest_of(name, certs, peer)};
  auto until = steady::now() + std::chrono::duration<double>{seconds};
  auto answered = keep_asking(ai, 64, [&](uint64_t) { return steady::now() >= until; });
  std::printf("%llu\n", static_cast<unsigned long long>(answered));
  std::fflush(stdout);
  wait_for_end_of_input();
  return 0;
}

std::string make_certificates(const std::filesystem::path& folder) {
  auto command = "script/certs " + folder.string() + " a b c >/dev/null";
  if (std::system(command.c_str()) != 0)
    die("script/certs failed; run this from the source folder");
  return folder.string();
}

struct temporary {
  std::filesystem::path path =
    std::filesystem::temp_directory_path() / ("modelforge-nodes-" + std::to_string(getpid()));
  ~temporary() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

// -- scenarios ------------------------------------------------------------------------

int run_limits(double seconds) {
  temporary folder;
  auto certs = make_certificates(folder.path);
  simulator::options strict;
  strict.requests_per_minute = per_minute;
  strict.window = window;
  strict.latency = 20ms;
  simulator::server server{strict};
  auto duration = std::to_string(seconds);
  child a{{"be-owner", certs, server.url(), "limited", duration}};
  auto address = a.read_line();
  auto begun = steady::now();
  child b{{"be-guest", "b", certs, address, duration}};
  child c{{"be-guest", "c", certs, address, duration}};
  std::array<double, 3> shares{};
  // the window's first one fills at the limit's pace (burst = 1), so only the time counts
  std::this_thread::sleep_until(begun + std::chrono::duration<double>{seconds});
  auto seen = server.snapshot();
  double sum = 0;
  for (auto* one : {&a, &b, &c})
    sum += shares[static_cast<std::size_t>(one == &a ? 0 : one == &b ? 1 : 2)] = std::stod(one->read_line());
  auto allowed = per_minute / 60.0 * seconds;
  auto used = static_cast<double>(seen.requests) / allowed;
  std::printf(
    "%.0f s, limit %llu a minute, three nodes over TLS: %llu requests, %.1f %% of the limit; %llu refused with "
    "429\n",
    seconds, static_cast<unsigned long long>(per_minute), static_cast<unsigned long long>(seen.requests), 100 * used,
    static_cast<unsigned long long>(server.snapshot().rejected));
  for (std::size_t i = 0; i < 3; ++i)
    std::printf("  node %c: %.0f answers, %.1f %% of all\n", static_cast<char>('a' + i), shares[i],
                100 * shares[i] / sum);
  promise("no 429", server.snapshot().rejected == 0);
  promise("at least 97 % of the limit was used", used >= 0.97);
  promise("each node had a third, +- 10 %",
          std::all_of(shares.begin(), shares.end(), [&](double x) { return std::abs(x / sum * 3 - 1) <= 0.1; }));
  return all_kept ? 0 : 1;
}

double latency_of(runtime& ai, std::size_t requests, double q) {
  std::vector<double> times;
  for (std::size_t i = 0; i < requests; ++i) {
    auto begun = steady::now();
    if (!ai.chat(question()))
      die("a request failed");
    times.push_back(std::chrono::duration<double, std::micro>{steady::now() - begun}.count());
  }
  return quantile(times, q);
}

int run_cost(std::size_t requests, std::size_t in_flight, std::size_t rounds) {
  temporary folder;
  auto certs = make_certificates(folder.path);
  nginx server{{.body = answer}};
  child a{{"be-owner", certs, server.url(), "free", "0"}};
  runtime remote{guest_of("b", certs, a.read_line())};
  auto own = owner_of(certs, server.url(), false);
  own.node = {};
  own.providers[0].nodes.clear();
  runtime local{own};
  auto warm = [](runtime& x) { keep_asking(x, 64, [](uint64_t begun) { return begun >= 500; }); };
  warm(local);
  warm(remote);
  std::vector<double> slower, share, costlier;
  for (std::size_t round = 0; round < rounds; ++round) {
    auto here = latency_of(local, requests / 10, 0.5);
    auto there = latency_of(remote, requests / 10, 0.5);
    auto rate = [&](runtime& x) {
      return measure([&] { keep_asking(x, in_flight, [&](uint64_t begun) { return begun >= requests; }); });
    };
    auto rate_here = rate(local);
    auto rate_there = rate(remote);
    auto n = static_cast<double>(requests);
    std::printf(
      "one by one: local %.0f us, remote %.0f us; %zu in flight: local %.0f/s, remote %.0f/s (%.0f us of CPU a "
      "request on the asking side, local %.0f)\n",
      here, there, in_flight, n / rate_here.seconds, n / rate_there.seconds, 1e6 * rate_there.cpu / n,
      1e6 * rate_here.cpu / n);
    std::fflush(stdout);
    slower.push_back(there - here);
    share.push_back(rate_here.seconds / rate_there.seconds);
  }
  std::printf("median: %.0f us more one by one, %.2f of the local rate\n", quantile(slower, 0.5), quantile(share, 0.5));
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  std::vector<std::string> x(argv + 1, argv + argc);
  auto number = [&](std::size_t i, double otherwise) { return x.size() > i ? std::stod(x[i]) : otherwise; };
  if (x.size() == 5 && x[0] == "be-owner")
    return be_owner(x[1], x[2], x[3] == "limited", std::stod(x[4]));
  if (x.size() == 5 && x[0] == "be-guest")
    return be_guest(x[1], x[2], x[3], std::stod(x[4]));
  if (!x.empty() && x[0] == "limits")
    return run_limits(number(1, 120));
  if (!x.empty() && x[0] == "cost")
    return run_cost(static_cast<std::size_t>(number(1, 5'000)), static_cast<std::size_t>(number(2, 64)),
                    static_cast<std::size_t>(number(3, 5)));
  std::fputs("usage: nodes limits [SECONDS] | nodes cost [REQUESTS] [IN_FLIGHT] [ROUNDS]\n", stderr);
  return 2;
}
