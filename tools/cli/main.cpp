#include "tools/cli/commands.hpp"
#include "tools/cli/output.hpp"
#include "tools/simulator/simulator.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <exception>
#include <map>
#include <string>
#include <vector>

namespace modelforge::cli {

namespace {

constexpr auto examples = R"(Examples:
  modelforge chat --simulate "Why is the sky blue?"        try it without a key
  OPENAI_API_KEY=... modelforge chat -m gpt-4o-mini "Hi"   ask OpenAI
  modelforge config example > modelforge.toml              start a configuration
  modelforge config check                                  see what is wrong with it
  modelforge batch prompts.jsonl -o answers.jsonl          answer a file of prompts
  modelforge node -c node.toml                             run providers for other programs
  modelforge simulate --listen 127.0.0.1:8080              a provider to test against

Without -c, settings come from ./modelforge.toml, else ~/.config/modelforge/modelforge.toml, else from keys in the
environment (OPENAI_API_KEY, ANTHROPIC_API_KEY, ...).
Exit codes: 0 all answered, 1 a request failed, 2 wrong arguments, files or configuration, 130 interrupted.)";

constexpr auto batch_examples = R"(Examples:
  modelforge batch prompts.txt -o answers.jsonl --simulate
  modelforge batch requests.jsonl -o answers.jsonl -p openai --max-concurrent 32
  modelforge batch requests.jsonl -o answers.jsonl -p openai=3,azure=1   share it out
  modelforge batch requests.jsonl -o answers.jsonl --mode provider       by the provider's batch API
  modelforge batch status answers.jsonl.ledger

INPUT holds one prompt a line, in one of three forms:
  plain text            What is a monad?
  short JSON            {"id": "q1", "prompt": "What is a monad?", "system": "Be brief."}
  OpenAI batch lines    {"custom_id": "q1", "method": "POST", "url": "/v1/chat/completions", "body": {...}}
OUTPUT gets OpenAI batch result lines in the order of the input; a line that fails has an "error" and stops nothing.
Results are kept in OUTPUT.ledger as they come. Whatever stops a batch, the same command goes on with what is missing.)";

constexpr auto node_examples = R"(Examples:
  modelforge node -c owner.toml
  script/certs certs a b                 a private authority, and certificates for the nodes a and b

The file says in [node] what this node is called, where it listens and which peers it connects to, and in each provider
which node runs it: nodes = ["a"]. The first line on standard output is "listening HOST:PORT"; what happens to links is
told on standard error. SIGHUP reads the file again: all of it is taken over, or nothing. SIGTERM or Ctrl-C lets running
requests end within `grace_period`, a second one cuts them off.)";

constexpr auto simulate_examples = R"(Examples:
  modelforge simulate --listen 127.0.0.1:8080 --latency 200 --tokens-per-second 50
  curl http://127.0.0.1:8080/v1/models
  curl http://127.0.0.1:8080/__simulator/stats

The first line on standard output is "listening http://HOST:PORT"; port 0 lets the system choose one. Point any OpenAI
client at http://HOST:PORT/v1. Answers depend on the seed and the prompt alone.)";

void add_target(CLI::App& app, target_options& x, const char* model = "default_model") {
  app.add_option("-c,--config", x.config, "Configuration file")->type_name("FILE");
  app.add_option("-p,--provider", x.provider, "Provider to ask; default: the first usable one")->type_name("NAME");
  if (model != nullptr)
    app.add_option("-m,--model", x.model, std::string{"Model; default: the provider's "} + model)->type_name("NAME");
  app.add_flag("--simulate", x.simulate, "Answer from a simulated provider; needs no key and no configuration");
}

/// "HOST:PORT" into its parts.
std::string parse_listen(const std::string& text, simulator::options& x) {
  auto colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0)
    return "expected HOST:PORT, for example 127.0.0.1:8080";
  char* end = nullptr;
  auto port = std::strtoul(text.c_str() + colon + 1, &end, 10);
  if (end == text.c_str() + colon + 1 || *end != '\0' || port > 65535)
    return "the port must be a number from 0 to 65535";
  x.host = text.substr(0, colon);
  if (x.host.size() > 2 && x.host.front() == '[' && x.host.back() == ']')
    x.host = x.host.substr(1, x.host.size() - 2);
  x.port = static_cast<uint16_t>(port);
  return {};
}

struct command_line {
  CLI::App app{"ModelForge calls large-language-model providers: paced, retried, streamed and batched by actors.",
               "modelforge"};
  chat_options chat;
  batch_command_options batch;
  ledger_command_options ledger;
  embed_options embed;
  models_options models;
  node_options node;
  providers_options providers;
  simulator::options simulator;
  std::string config_path;
  uint32_t latency = 0;
  CLI::App* chat_command = nullptr;
  CLI::App* batch_command = nullptr;
  CLI::App* status_command = nullptr; ///< Of `batch`.
  CLI::App* cancel_command = nullptr; ///< Of `batch`.
  CLI::App* embed_command = nullptr;
  CLI::App* models_command = nullptr;
  CLI::App* node_command = nullptr;
  CLI::App* simulate_command = nullptr;
  CLI::App* providers_command = nullptr;
  CLI::App* check_command = nullptr;
  CLI::App* show_command = nullptr;
  CLI::App* example_command = nullptr;
  CLI::App* reference_command = nullptr;

  command_line() {
    app.set_version_flag("--version", "modelforge " MODELFORGE_VERSION);
    app.footer(examples);
    app.require_subcommand(1);
    app.get_formatter()->column_width(34);
    add_chat();
    add_embed();
    add_batch();
    add_node();
    add_simulate();
    add_config();
    providers_command = app.add_subcommand("providers", "List the configured providers and whether they are ready");
    providers_command->add_option("-c,--config", providers.config, "Configuration file")->type_name("FILE");
    providers_command->add_flag("--json", providers.json, "Print JSON");
  }

  void add_chat() {
    chat_command = app.add_subcommand("chat", "Ask one question");
    add_target(*chat_command, chat.target);
    chat_command->add_option("--system", chat.system, "System prompt")->type_name("TEXT");
    chat_command->add_flag("!--no-stream", chat.stream, "Print the answer when it is whole");
    chat_command->add_flag("--json", chat.json,
                           "Print JSON: an event a line, or with --no-stream one OpenAI chat.completion object");
    chat_command->add_option("-o,--output", chat.output, "Write the text to a file as it comes")->type_name("FILE");
    chat_command->add_option("--schema", chat.schema, "JSON Schema that the answer must follow")->type_name("FILE");
    chat_command
      ->add_option("--image", chat.images,
                   "Image to ask about: a PNG, JPEG, GIF or WebP file, or an address; may be repeated")
      ->type_name("FILE|URL")
      ->allow_extra_args(false);
    chat_command->add_flag("--stats", chat.stats,
                           "Tell the time to the first token, the speed, the cost and what was optimized");
    chat_command->add_option("--timeout", chat.timeout, "Give up after so many seconds")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.001, 1e6));
    chat_command->add_option("PROMPT", chat.prompt, "What to ask; - or nothing: read standard input");
    chat_command->footer("Examples:\n  modelforge chat \"Name three rivers.\"\n"
                         "  git diff | modelforge chat --system \"Review this change.\" -\n"
                         "  modelforge chat \"Write a story.\" -o story.txt --stats\n\n"
                         "The answer is printed as it comes; Ctrl-C stops the provider and keeps what was printed.");
  }

  void add_embed() {
    embed_command = app.add_subcommand("embed", "Make vectors of texts");
    add_target(*embed_command, embed.target, "default_embedding_model");
    embed_command->add_option("--dimensions", embed.dimensions, "Length of the vectors; default: the model's")
      ->type_name("N")
      ->check(CLI::Range(1u, 1'000'000u));
    embed_command->add_option("--purpose", embed.purpose, "query, document, similarity, classification or clustering")
      ->type_name("NAME");
    embed_command->add_flag("--stats", embed.stats, "Tell how many vectors, the time and the tokens");
    embed_command->add_option("--timeout", embed.timeout, "Give up after so many seconds")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.001, 1e6));
    embed_command->add_option("TEXT", embed.inputs, "Texts; - or nothing: a text a line of standard input");
    embed_command->footer("Example:\n  modelforge embed -m text-embedding-3-small \"a river\" \"a bank\"\n\n"
                          "Prints a line of JSON for each text, in order: {\"index\":0,\"embedding\":[...]}");
    models_command = app.add_subcommand("models", "List the models that a provider offers");
    add_target(*models_command, models.target, nullptr);
  }

  void add_batch() {
    batch_command = app.add_subcommand("batch", "Answer a file of prompts");
    add_target(*batch_command, batch.target);
    auto set_concurrent = [this](const std::string& text) {
      uint32_t n = 0;
      auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
      if (text != "auto" && (error != std::errc{} || end != text.data() + text.size() || n < 1 || n > 10'000))
        throw CLI::ValidationError("--max-concurrent", text + " is neither a number from 1 to 10000 nor auto");
      batch.max_concurrent = n;
    };
    batch_command
      ->add_option_function<std::string>("--max-concurrent", set_concurrent,
                                         "Requests in flight; auto: as many as the limits can use; default 5")
      ->type_name("N");
    batch_command->add_option("--timeout", batch.timeout, "Give up an item after so many seconds; default: never")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.001, 1e6));
    batch_command->add_option("--order", batch.order, "input (default), or arrival: as results come")
      ->check(CLI::IsMember({"input", "arrival"}));
    batch_command->add_option("--mode", batch.mode, "live, provider (its batch API), or auto: by --deadline and price")
      ->check(CLI::IsMember({"live", "provider", "auto"}));
    batch_command
      ->add_option("--deadline", batch.deadline,
                   "When all should be done, e.g. 2h; auto uses a batch API only if it has its day")
      ->transform(CLI::AsNumberWithUnit(std::map<std::string, double>{{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}}))
      ->type_name("TIME");
    batch_command
      ->add_option("--after-expiry", batch.after_expiry, "What a batch API did not come to: live or provider")
      ->check(CLI::IsMember({"live", "provider"}));
    batch_command->add_option("--job-items", batch.job_items, "Most items in a job of a batch API; default 10000")
      ->type_name("N")
      ->check(CLI::Range(std::size_t{1}, std::size_t{100'000}));
    batch_command->add_flag("--fresh", batch.fresh, "Start over, and forget what an earlier run has done");
    batch_command->add_flag("--retry-failed", batch.retry_failed, "Send what failed in an earlier run again, too");
    batch_command->add_flag("--dry-run", batch.dry_run, "Tell items, tokens, cost and time; send nothing");
    batch_command->add_flag("-q,--quiet", batch.quiet, "Show neither progress nor summary");
    batch_command->add_option("INPUT", batch.input, "Prompts; - is standard input")->type_name("FILE");
    batch_command->add_option("-o,--output", batch.output, "Results; - is standard output")->type_name("FILE");
    batch_command->require_subcommand(0, 1);
    status_command = batch_command->add_subcommand("status", "Tell what a batch has done and what is missing");
    cancel_command =
      batch_command->add_subcommand("cancel", "Cancel a batch's jobs at its providers; keep what is done");
    add_target(*cancel_command, ledger.target);
    for (auto* command : {status_command, cancel_command})
      command->add_option("LEDGER", ledger.ledger, "OUTPUT.ledger of the batch")->type_name("FILE")->required();
    batch_command->footer(batch_examples);
  }

  void add_node() {
    node_command = app.add_subcommand("node", "Run the configured providers for other nodes");
    node_command->add_option("-c,--config", node.config, "Configuration file")->type_name("FILE");
    node_command->footer(node_examples);
  }

  void add_simulate() {
    simulate_command = app.add_subcommand("simulate", "Serve a simulated provider, to test programs against");
    auto& x = simulator;
    simulate_command
      ->add_option_function<std::string>(
        "--listen",
        [&x](const std::string& text) {
          if (auto problem = parse_listen(text, x); !problem.empty())
            throw CLI::ValidationError("--listen", problem);
        },
        "Where to listen; default 127.0.0.1:0, a port chosen by the system")
      ->type_name("HOST:PORT");
    simulate_command->add_option("--seed", x.seed, "Other seed, other answers")->type_name("N")->capture_default_str();
    simulate_command->add_option("--latency", latency, "Time to the first token, in milliseconds")
      ->type_name("MS")
      ->check(CLI::Range(0u, 600'000u))
      ->capture_default_str();
    simulate_command->add_option("--latency-jitter", x.latency_jitter, "Share by which latencies differ, 0 to 1")
      ->type_name("SHARE")
      ->check(CLI::Range(0.0, 1.0));
    simulate_command->add_option("--tokens-per-second", x.tokens_per_second, "Speed of each answer; default: at once")
      ->type_name("N")
      ->check(CLI::Range(0.0, 1e9));
    simulate_command->add_option("--api-key", x.api_key, "Refuse requests with any other key")->type_name("KEY");
    add_simulated_streams();
    add_simulated_limits();
    add_simulated_faults();
    add_simulated_batches();
    simulate_command->parse_complete_callback([&x] {
      if (auto problem = problem_of(x); !problem.empty())
        throw CLI::ValidationError("simulate", problem);
    });
    simulate_command->footer(simulate_examples);
  }

  void add_simulated_streams() {
    auto& x = simulator;
    auto add = [&](const char* name, uint32_t& target, const char* text, uint32_t least, uint32_t most) {
      return simulate_command->add_option(name, target, text)->type_name("N")->check(CLI::Range(least, most));
    };
    add("--min-answer-tokens", x.min_answer_tokens, "Least length of an answer", 1, simulator::most_answer_tokens)
      ->capture_default_str();
    add("--max-answer-tokens", x.max_answer_tokens, "Most, or the least if that is more", 1,
        simulator::most_answer_tokens)
      ->capture_default_str();
    simulate_command
      ->add_option("--token-jitter", x.token_jitter, "Share by which times between a stream's tokens differ, 0 to 1")
      ->type_name("SHARE")
      ->check(CLI::Range(0.0, 1.0));
    simulate_command
      ->add_option_function<uint32_t>(
        "--keep-alive", [&x](uint32_t ms) { x.keep_alive = std::chrono::milliseconds{ms}; },
        "Send a comment when a stream was silent for so many milliseconds; its head comes at once")
      ->type_name("MS")
      ->check(CLI::Range(1u, 3'600'000u));
    simulate_command->add_flag("--crlf", x.crlf, "End the lines of streams by CR LF");
    simulate_command->add_flag("--split-packets", x.split_packets,
                               "Send each event in two or more packets, cut inside characters");
    add("--pieces-per-packet", x.pieces_per_packet, "Gather so many tokens before they are sent", 1,
        simulator::most_pieces_per_packet);
    add("--send-buffer", x.send_buffer, "SO_SNDBUF of each connection; default: the system's",
        simulator::least_send_buffer, simulator::most_send_buffer)
      ->type_name("BYTES");
  }

  void add_simulated_limits() {
    using simulator::token_accounting;
    auto& x = simulator;
    auto add = [&](const char* name, auto& target, const char* text, auto most) {
      simulate_command->add_option(name, target, text)->type_name("N")->check(CLI::Range(decltype(most){1}, most));
    };
    add("--requests-per-minute", x.requests_per_minute, "Refuse what exceeds it with 429", simulator::most_per_minute);
    add("--tokens-per-minute", x.tokens_per_minute, "The same for tokens", simulator::most_per_minute);
    std::map<std::string, token_accounting> accountings{{"arrival", token_accounting::arrival},
                                                        {"produced", token_accounting::produced},
                                                        {"input", token_accounting::input}};
    simulate_command
      ->add_option("--token-accounting", x.accounting,
                   "Which tokens count: arrival (the default: the prompt's or max_tokens), produced or input")
      ->type_name("NAME")
      ->transform(CLI::CheckedTransformer(accountings).description(""));
    add_simulated_time("--window", x.window, "Length of the limits' window, they are scaled to it; default 60", 0.001);
    simulate_command->add_flag_callback(
      "--no-limit-headers", [&x] { x.limit_headers = false; }, "Send no x-ratelimit-* headers");
    add("--slots", x.slots, "Answers generated at once; further requests wait in order", 1'000'000u);
    add_simulated_time("--cache-ttl", x.cache_ttl, "Keep prompts cached so long, 0: never; default 300", 0);
    add("--cache-min-tokens", x.cache_min_tokens, "Cache prefixes from this length on; default: the provider's",
        1'000'000u);
    add("--cache-machines", x.cache_machines, "OpenAI's machines, each with its own cache; default 1", 1'000u);
  }

  void add_simulated_faults() {
    auto& x = simulator;
    simulate_command
      ->add_option_function<std::vector<std::string>>(
        "--fault",
        [&x](const std::vector<std::string>& all) {
          for (const auto& text : all)
            if (auto problem = add_fault(x, text); !problem.empty())
              throw CLI::ValidationError("--fault", problem);
        },
        "Let a share of requests, 0 to 1, go wrong; may be repeated. Names: " + simulator::known_faults())
      ->type_name("NAME=SHARE")
      ->allow_extra_args(false);
    add_simulated_time("--retry-after", x.retry_after, "What the fault 429_retry_after asks for; default 1", 0);
    add_simulated_time("--fault-from", x.fault_from, "Begin with faults so long after the start", 0);
    add_simulated_time("--fault-until", x.fault_until, "End them so long after the start", 0);
  }

  void add_simulated_batches() {
    auto& x = simulator;
    auto add_share = [&](const char* name, double& target, const char* text) {
      simulate_command->add_option(name, target, text)->type_name("SHARE")->check(CLI::Range(0.0, 1.0));
    };
    add_simulated_time("--batch-time", x.batch_time, "How long a batch job takes; default 2", 0);
    add_simulated_time("--batch-window", x.batch_window, "Let jobs expire so long after their creation; default: a day",
                       0);
    add_share("--batch-errors", x.batch_errors, "Let a share of their items fail, 0 to 1");
    add_share("--batch-cut", x.batch_cut, "Reset the connection in place of telling a share of jobs' creation");
    add_share("--batch-silence", x.batch_silence, "Never tell it, until the client gives up");
    simulate_command->add_option("--batch-items", x.batch_items, "Most items of a job; default: the provider's limit")
      ->type_name("N")
      ->check(CLI::Range(1u, UINT32_MAX));
    simulate_command
      ->add_option("--batch-queue-tokens", x.batch_queue_tokens,
                   "Most tokens of a model's jobs at a time; default: any number")
      ->type_name("N")
      ->check(CLI::Range(uint64_t{1}, UINT64_MAX));
  }

  /// Adds an option in seconds, up to a day; `target` holds milliseconds.
  template <class T>
  void add_simulated_time(const char* name, T& target, const char* text, double least) {
    auto set = [&target](double seconds) { target = std::chrono::milliseconds{std::llround(seconds * 1'000)}; };
    simulate_command->add_option_function<double>(name, set, text)
      ->type_name("SECONDS")
      ->check(CLI::Range(least, 86'400.0));
  }

  void add_config() {
    auto* config = app.add_subcommand("config", "Check, show or start a configuration");
    config->require_subcommand(1);
    check_command = config->add_subcommand("check", "Report every fault of the configuration");
    show_command = config->add_subcommand("show", "Print the effective settings, defaults included, as TOML");
    example_command = config->add_subcommand("example", "Print an example with every key explained");
    reference_command =
      config->add_subcommand("reference", "Print every key with type, range and default, as Markdown");
    for (auto* command : {check_command, show_command}) {
      command->add_option("-c,--config", config_path, "Configuration file")->type_name("FILE");
      command->add_option("FILE", config_path, "The same, without -c");
    }
  }

  bool knows(const std::string& command) {
    auto all = app.get_subcommands([](CLI::App*) { return true; });
    return std::any_of(all.begin(), all.end(), [&](auto* x) { return x->check_name(command); });
  }

  int run_batch() {
    if (batch.input.empty())
      return refuse_usage("INPUT is required");
    if (batch.dry_run)
      return batch_dry_run(batch);
    if (batch.output.empty())
      return refuse_usage("--output is required");
    return cli::batch(batch);
  }

  static int refuse_usage(const std::string& why) {
    complain(why);
    std::fputs("Try `modelforge batch --help`.\n", stderr);
    return exit_usage;
  }

  int run() {
    if (*chat_command)
      return cli::chat(chat);
    if (*embed_command)
      return cli::embed(embed);
    if (*models_command)
      return cli::models(models);
    if (*status_command)
      return batch_status(ledger);
    if (*cancel_command)
      return batch_cancel(ledger);
    if (*batch_command)
      return run_batch();
    if (*node_command)
      return cli::node(node);
    if (*simulate_command) {
      simulator.latency = std::chrono::milliseconds{latency};
      return simulator::run(simulator);
    }
    if (*providers_command)
      return cli::providers(providers);
    if (*check_command)
      return config_check(config_path);
    if (*show_command)
      return config_show(config_path);
    return *reference_command ? config_reference() : config_example();
  }
};

} // namespace

} // namespace modelforge::cli

int main(int argc, char** argv) {
  using namespace modelforge::cli;
  secure_standard_streams();
  command_line line;
  try {
    line.app.parse(argc, argv);
  } catch (const CLI::ParseError& x) {
    if (x.get_exit_code() == 0) // --help, --version
      return line.app.exit(x) == 0 && std::fflush(stdout) == 0 ? exit_ok : exit_failed;
    if (argc < 2) {
      std::fputs(line.app.help().c_str(), stderr);
      return exit_usage;
    }
    if (argv[1][0] != '-' && !line.knows(argv[1]))
      complain("there is no command \"" + std::string{argv[1]} + "\"");
    else
      complain(x.what());
    std::fputs("Try `modelforge --help`, or `modelforge COMMAND --help`.\n", stderr);
    return exit_usage;
  }
  try {
    return line.run();
  } catch (const std::exception& x) {
    complain(x.what());
    return exit_usage;
  }
}
