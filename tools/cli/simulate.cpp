#include "tools/cli/commands.hpp"
#include "tools/simulator/simulator.hpp"

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <memory>

/// `modelforge simulate`: the simulator's options as the command line names them.

namespace modelforge::cli {

namespace {

constexpr auto simulate_examples = R"(Examples:
  modelforge simulate --listen 127.0.0.1:8080 --latency 200 --tokens-per-second 50
  curl http://127.0.0.1:8080/v1/models
  curl http://127.0.0.1:8080/__simulator/stats

The first line on standard output is "listening http://HOST:PORT"; port 0 lets the system choose one. Point any OpenAI
client at http://HOST:PORT/v1. Answers depend on the seed and the prompt alone.)";

/// Takes "HOST:PORT" into the options; returns what is wrong with it, or "".
std::string parse_listen(const std::string& text, simulator::options& options) {
  auto colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0)
    return "expected HOST:PORT, for example 127.0.0.1:8080";
  char* end = nullptr;
  auto port = std::strtoul(text.c_str() + colon + 1, &end, 10);
  if (end == text.c_str() + colon + 1 || *end != '\0' || port > 65535)
    return "the port must be a number from 0 to 65535";
  options.host = text.substr(0, colon);
  if (options.host.size() > 2 && options.host.front() == '[' && options.host.back() == ']')
    options.host = options.host.substr(1, options.host.size() - 2);
  options.port = static_cast<uint16_t>(port);
  return {};
}

/// Adds an option in seconds, up to a day; `target` holds milliseconds.
template <class T>
void add_time(command& simulate, const char* name, T& target, const char* help, double min_seconds = 0) {
  auto set = [&target](double seconds) { target = std::chrono::milliseconds{std::llround(seconds * 1'000)}; };
  simulate.number(name, std::function<void(double)>{set}, help, "SECONDS", min_seconds, 86'400.0);
}

template <class T>
void add_count(command& simulate, const char* name, T& target, const char* help, T max) {
  simulate.number(name, target, help, "N", T{1}, max);
}

void add_share(command& simulate, const char* name, double& target, const char* help) {
  simulate.number(name, target, help, "SHARE", 0.0, 1.0);
}

void add_stream_options(command& simulate, simulator::options& options) {
  simulate
    .number("--min-answer-tokens", options.min_answer_tokens, "Minimum length of an answer, in tokens", "N", 1u,
            simulator::answer_tokens_bound)
    .show_default();
  simulate
    .number("--max-answer-tokens", options.max_answer_tokens, "Maximum length, or the minimum if that is larger", "N",
            1u, simulator::answer_tokens_bound)
    .show_default();
  add_share(simulate, "--token-jitter", options.token_jitter,
            "Share by which times between a stream's tokens differ, 0 to 1");
  auto set_keep_alive = [&options](uint32_t ms) { options.keep_alive = std::chrono::milliseconds{ms}; };
  simulate.number("--keep-alive", std::function<void(uint32_t)>{set_keep_alive},
                  "Send a comment when a stream was silent for so many milliseconds; its head comes at once", "MS", 1u,
                  3'600'000u);
  simulate.flag("--crlf", options.crlf, "End the lines of streams by CR LF");
  simulate.flag("--split-packets", options.split_packets,
                "Send each event in two or more packets, cut inside characters");
  add_count(simulate, "--pieces-per-packet", options.pieces_per_packet, "Gather so many tokens before they are sent",
            simulator::max_pieces_per_packet);
  simulate.number("--send-buffer", options.send_buffer, "SO_SNDBUF of each connection; default: the system's", "BYTES",
                  simulator::min_send_buffer, simulator::max_send_buffer);
}

void add_limit_options(command& simulate, simulator::options& options) {
  add_count(simulate, "--requests-per-minute", options.requests_per_minute, "Refuse what exceeds it with 429",
            simulator::max_per_minute);
  add_count(simulate, "--tokens-per-minute", options.tokens_per_minute, "The same for tokens",
            simulator::max_per_minute);
  auto set_accounting = [&options](const std::string& word) -> std::string {
    using simulator::token_accounting;
    if (word == "arrival")
      options.accounting = token_accounting::arrival;
    else if (word == "produced")
      options.accounting = token_accounting::produced;
    else if (word == "input")
      options.accounting = token_accounting::input;
    else
      return word + " is none of: arrival, produced, input";
    return {};
  };
  simulate.parsed("--token-accounting", set_accounting,
                  "Which tokens count: arrival (the default: the prompt's or max_tokens), produced or input", "NAME");
  add_time(simulate, "--window", options.window, "Length of the limits' window, they are scaled to it; default 60",
           0.001);
  simulate.flag(
    "--no-limit-headers", [&options] { options.limit_headers = false; }, "Send no x-ratelimit-* headers");
  add_count(simulate, "--slots", options.slots, "Answers generated at once; further requests wait in order",
            1'000'000u);
  add_time(simulate, "--cache-ttl", options.cache_ttl, "Keep prompts cached so long, 0: never; default 300");
  add_count(simulate, "--cache-min-tokens", options.cache_min_tokens,
            "Cache prefixes from this length on; default: the provider's", 1'000'000u);
  add_count(simulate, "--cache-machines", options.cache_machines,
            "OpenAI's machines, each with its own cache; default 1", 1'000u);
}

void add_fault_options(command& simulate, simulator::options& options) {
  simulate.repeated(
    "--fault", [&options](const std::string& text) { return add_fault(options, text); },
    "Let a share of requests, 0 to 1, go wrong; may be repeated. Names: " + simulator::known_faults(), "NAME=SHARE");
  add_time(simulate, "--retry-after", options.retry_after, "What the fault 429_retry_after asks for; default 1");
  add_time(simulate, "--fault-from", options.fault_from, "Begin with faults so long after the start");
  add_time(simulate, "--fault-until", options.fault_until, "End them so long after the start");
}

void add_batch_options(command& simulate, simulator::options& options) {
  add_time(simulate, "--batch-time", options.batch_time, "How long a batch job takes; default 2");
  add_time(simulate, "--batch-window", options.batch_window,
           "Let jobs expire so long after their creation; default: a day");
  add_share(simulate, "--batch-errors", options.batch_errors, "Let a share of their items fail, 0 to 1");
  add_share(simulate, "--batch-cut", options.batch_cut, "Reset the connection instead of confirming a share of jobs");
  add_share(simulate, "--batch-silence", options.batch_silence,
            "Never confirm a share of jobs, until the client gives up");
  add_count(simulate, "--batch-items", options.batch_items, "Maximum items of a job; default: the provider's limit",
            UINT32_MAX);
  add_count(simulate, "--batch-queue-tokens", options.batch_queue_tokens,
            "Maximum tokens of a model's jobs at a time; default: any number", UINT64_MAX);
}

} // namespace

void add_simulate(command_line& line) {
  struct simulate_options {
    simulator::options simulator;
    uint32_t latency = 0; ///< Milliseconds.
  };
  auto given = std::make_shared<simulate_options>();
  auto& options = given->simulator;
  auto simulate = line.add("simulate", "Serve a simulated provider, to test programs against");
  simulate.parsed(
    "--listen", [&options](const std::string& text) { return parse_listen(text, options); },
    "Where to listen; default 127.0.0.1:0, a port chosen by the system", "HOST:PORT");
  simulate.number("--seed", options.seed, "Another seed gives other answers", "N").show_default();
  simulate.number("--latency", given->latency, "Time to the first token, in milliseconds", "MS", 0u, 600'000u)
    .show_default();
  add_share(simulate, "--latency-jitter", options.latency_jitter, "Share by which latencies differ, 0 to 1");
  simulate.number("--tokens-per-second", options.tokens_per_second, "Speed of each answer; default: at once", "N", 0.0,
                  1e9);
  simulate.text("--api-key", options.api_key, "Refuse requests with any other key", "KEY");
  add_stream_options(simulate, options);
  add_limit_options(simulate, options);
  add_fault_options(simulate, options);
  add_batch_options(simulate, options);
  simulate.check([&options] { return problem_of(options); });
  simulate.footer(simulate_examples);
  simulate.run_by([given] {
    given->simulator.latency = std::chrono::milliseconds{given->latency};
    return simulator::run(given->simulator);
  });
}

} // namespace modelforge::cli
