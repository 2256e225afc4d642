#include "tools/cli/commands.hpp"
#include "tools/cli/host.hpp"
#include "tools/cli/output.hpp"

#include "config/state_folder.hpp"
#include "http/client.hpp"
#include "telemetry/readiness.hpp"
#include "telemetry/status_json.hpp"
#include "wire/vendors.hpp"

#include <modelforge/actors/provider.hpp>
#include <modelforge/config/secret.hpp>

#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <numeric>
#include <vector>

/// `modelforge providers`: how the configured providers are. A program that runs them and has a metrics port is asked
/// for its figures; what it does not run is started here for a moment, idle, which shows whether it could be used and
/// what is left of its limits.

namespace modelforge::cli {

namespace {

using json = nlohmann::ordered_json;

constexpr auto ask_timeout = std::chrono::seconds{1};

/// A configured provider and how it is.
struct view {
  const provider_settings* settings = nullptr;
  bool running = false; ///< Seen in a running program; else `status` is the configuration's and what was kept.
  provider_status status;
  telemetry::provider_state state = telemetry::provider_state::ready; ///< As the running program tells.
  std::string trouble; ///< Why it could not be started; empty: it could, or it runs.

  bool is_ready() const { return trouble.empty() && telemetry::is_usable(state); }
};

// -- finding out ----------------------------------------------------------------------

std::string address_of(const provider_settings& provider) {
  auto* dialect = wire::find_dialect(name_of(provider.kind));
  if (!provider.base_url.empty() || dialect == nullptr)
    return provider.base_url;
  return std::string{dialect->default_base_url()};
}

/// Where to reach one's own machine's `listen`.
std::string status_url(std::string listen) {
  for (auto [all, one] : {std::pair{"0.0.0.0:", "127.0.0.1:"}, std::pair{"[::]:", "[::1]:"}})
    if (listen.starts_with(all))
      listen.replace(0, std::string_view{all}.size(), one);
  return "http://" + listen + "/status";
}

/// Asks the program that listens there; empty: there is none, or it is another one.
std::optional<telemetry::program_status> ask_running(const metrics_settings& settings) {
  if (settings.listen.empty() || settings.listen.ends_with(":0"))
    return {};
  setenv("no_proxy", "*", 1); // this machine is not behind a proxy
  http::request request;
  request.method = "GET";
  request.url = status_url(settings.listen);
  request.total_timeout = ask_timeout;
  auto answered = std::make_shared<std::promise<http::response>>();
  auto answer = answered->get_future();
  auto transport = make_transport();
  transport->fetch(std::move(request), [answered](http::response y) { answered->set_value(std::move(y)); });
  auto got = answer.get();
  if (got.end.error || got.head.status != 200)
    return {};
  return telemetry::read_status(got.body);
}

/// A copy of the files that keep the limits' use: reading the real ones takes a lock that a program which starts just
/// now would miss. It goes with this object.
class kept_limits {
public:
  explicit kept_limits(const runtime_settings& runtime) {
    namespace fs = std::filesystem;
    auto source = runtime.state_folder.empty() ? default_state_folder() : runtime.state_folder;
    std::error_code error;
    auto pattern = (fs::temp_directory_path(error) / "modelforge-XXXXXX").string();
    if (source.empty() || source == "none" || error || !fs::is_directory(source, error)
        || mkdtemp(pattern.data()) == nullptr)
      return;
    folder_ = pattern;
    for (auto& file : fs::directory_iterator{source, error})
      if (file.path().extension() == ".limits")
        fs::copy_file(file.path(), fs::path{folder_} / file.path().filename(), error);
  }

  ~kept_limits() {
    std::error_code ignored;
    if (!folder_.empty())
      std::filesystem::remove_all(folder_, ignored);
  }

  kept_limits(const kept_limits&) = delete;
  kept_limits& operator=(const kept_limits&) = delete;

  std::string folder() const { return folder_.empty() ? "none" : folder_; }

private:
  std::string folder_; ///< Empty: nothing was kept.
};

/// Starts each provider that runs nowhere, which sends nothing by itself, to see its limits and whether it can start.
class idle_providers {
public:
  explicit idle_providers(const runtime_settings& runtime) : limits_(runtime), runtime_(runtime) {
    runtime_.state_folder = limits_.folder();
    host_ = std::make_unique<host>(runtime_);
  }

  void inspect(view& seen) {
    auto spawned = spawn_provider(host_->system(), *seen.settings, runtime_, transport_);
    if (auto* problem = std::get_if<failure>(&spawned)) {
      seen.trouble = problem->message;
      return;
    }
    auto& provider = std::get<provider_actor>(spawned);
    caf::scoped_actor self{host_->system()};
    self->request(provider, ask_timeout, status_atom_v)
      .receive([&](provider_status& y) { seen.status = std::move(y); },
               [&](const caf::error& error) { seen.trouble = failure_of(error).message; });
    caf::anon_send_exit(provider, caf::exit_reason::user_shutdown);
  }

private:
  kept_limits limits_;
  runtime_settings runtime_;
  std::shared_ptr<http::client> transport_ = make_transport();
  std::unique_ptr<host> host_;
};

view configured(const provider_settings& provider) {
  view result;
  result.settings = &provider;
  result.status.name = provider.name;
  result.status.kind = to_string(provider.kind);
  result.status.base_url = address_of(provider);
  result.status.max_concurrent = provider.max_concurrent;
  return result;
}

/// A provider that has told nothing of itself is shown as it is configured.
void take(view& seen, const telemetry::provider_report& told) {
  seen.running = true;
  seen.state = told.state;
  auto configured = std::exchange(seen.status, told.status);
  if (seen.status.kind.empty())
    seen.status.kind = configured.kind;
  if (seen.status.base_url.empty())
    seen.status.base_url = configured.base_url;
}

/// One view for each configured provider: from the running program where it has it, else from the settings and from the
/// files that keep the limits' use.
std::vector<view> find_out(const settings& all, const std::optional<telemetry::program_status>& program) {
  std::vector<view> result;
  std::unique_ptr<idle_providers> idle;
  for (auto& provider : all.providers) {
    auto seen = configured(provider);
    if (program)
      for (auto& told : program->providers)
        if (told.status.name == provider.name)
          take(seen, told);
    if (!seen.running) {
      if (!idle)
        idle = std::make_unique<idle_providers>(all.runtime);
      idle->inspect(seen);
    }
    result.push_back(std::move(seen));
  }
  return result;
}

// -- showing --------------------------------------------------------------------------

/// "431", "9,876", "180k", "12M"
std::string brief(uint64_t number) {
  return number < 10'000       ? grouped(number)
         : number < 10'000'000 ? grouped(number / 1'000) + "k"
                               : grouped(number / 1'000'000) + "M";
}

/// Whatever came from outside, without what a terminal would take as commands.
std::string printable(std::string text) {
  std::erase_if(text, [](char c) { return (c >= 0 && c < ' ' && c != '\n') || c == 0x7f; });
  return text;
}

std::size_t columns(const std::string& utf8) {
  return static_cast<std::size_t>(
    std::count_if(utf8.begin(), utf8.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

/// Lines of `parts` with dots between, indented, where possible no longer than 96 columns.
std::string lines_of(const std::vector<std::string>& parts) {
  constexpr std::size_t width = 96;
  std::string text, line;
  for (auto& part : parts) {
    if (!line.empty() && columns(line) + 3 + columns(part) > width)
      text += std::exchange(line, "") + "\n";
    line += line.empty() ? (text.empty() ? "  " : "    ") + part : " · " + part;
  }
  return line.empty() ? text : text + line + "\n";
}

std::string counts_text(const std::map<std::string, uint64_t>& counts) {
  std::string text;
  for (auto& [name, count] : counts)
    text += (text.empty() ? "" : ", ") + name + " " + grouped(count);
  return text;
}

uint64_t slots_of(const provider_status& status) {
  return std::accumulate(status.lanes.begin(), status.lanes.end(), uint64_t{0},
                         [](auto sum, auto& y) { return sum + y.slots; });
}

/// What a provider does now; nothing is said about what is not.
std::vector<std::string> queue_parts(const provider_status& status) {
  std::vector<std::string> parts{"in flight " + grouped(status.in_flight) + " of " + grouped(slots_of(status))};
  if (status.queued > 0)
    parts.push_back("queued " + grouped(status.queued)
                    + (status.queued_batch > 0 ? " (" + grouped(status.queued_batch) + " batch)" : ""));
  if (status.waiting > 0)
    parts.push_back((status.waiting == 1 ? "1 retry waits" : grouped(status.waiting) + " retries wait")
                    + (status.next_retry ? ", the next in " + duration_text(*status.next_retry) : ""));
  if (status.predicted_wait.count() > 0)
    parts.push_back("a request would wait " + duration_text(status.predicted_wait));
  return parts;
}

std::vector<std::string> count_parts(const provider_status& status) {
  std::vector<std::string> parts{"attempts " + grouped(status.attempts), "answered " + grouped(status.answered),
                                 "failed " + grouped(status.failed)};
  if (status.late > 0)
    parts.push_back("late " + grouped(status.late));
  if (!status.retries.empty())
    parts.push_back("retried: " + counts_text(status.retries));
  if (!status.refusals.empty())
    parts.push_back("refused: " + counts_text(status.refusals));
  return parts;
}

std::string use_text(const limit_use& use) {
  auto text = use.of + " " + brief(use.used) + " of " + brief(use.limit);
  if (use.limit > 0)
    text += " (" + std::to_string(std::llround(100.0 * static_cast<double>(use.used) / static_cast<double>(use.limit)))
            + " %)";
  auto name = std::min(use.of.find(' '), use.of.size()); // of the limit; a model's may follow
  std::replace(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(name), '_', ' ');
  return text;
}

std::string lane_text(const lane_status& lane, bool running) {
  std::string limits;
  for (auto& limit : lane.limits)
    limits += (limits.empty() ? "" : ", ") + use_text(limit);
  auto text = "limits (" + lane.name + "): " + (limits.empty() ? "none" : limits);
  if (running)
    text += "; breaker " + (lane.breaker == "half_open" ? "half open" : lane.breaker);
  if (lane.paused_for)
    text += "; paused by the provider for " + duration_text(*lane.paused_for);
  if (lane.out)
    text += "; the provider refuses the key";
  return text;
}

std::string words_of(telemetry::provider_state state) {
  switch (state) {
    case telemetry::provider_state::draining:
      return "shutting down";
    case telemetry::provider_state::key_refused:
      return "not usable: it refuses the key";
    case telemetry::provider_state::unanswered:
      return "not usable: it does not answer";
    case telemetry::provider_state::ended:
      return "not usable: it has ended, and is started again";
    default:
      return telemetry::is_usable(state) ? "ready" : "not usable: it is " + to_string(state);
  }
}

/// A provider's lines for people: one with its state, then what it does, its lanes, and its counts.
std::string block_of(const view& seen) {
  auto& status = seen.status;
  auto state = !seen.trouble.empty() ? "not usable: " + seen.trouble : words_of(seen.state);
  auto text = status.name + "  " + status.kind + "  " + status.base_url + "  " + state + "\n";
  if (seen.running)
    text += lines_of(queue_parts(status));
  else
    text +=
      lines_of({"at most " + grouped(status.max_concurrent) + " in flight"
                  + (seen.settings->keys.size() > 1 ? " for each of its keys" : ""),
                seen.settings->default_model.empty() ? "no default model" : "model " + seen.settings->default_model});
  for (auto& lane : status.lanes)
    if (seen.running || !lane.limits.empty())
      text += lines_of({lane_text(lane, seen.running)});
  if (seen.running)
    text += lines_of(count_parts(status));
  if (!status.problem.empty())
    text += "  problem: " + status.problem + "\n";
  return text;
}

std::string headline(const settings& all, const std::optional<telemetry::program_status>& program) {
  auto& listen = all.metrics.listen;
  if (program)
    return "running, pid " + std::to_string(program->pid) + " (" + listen + ")\n";
  if (listen.empty())
    return "a running program cannot be asked: metrics.listen is not set\n";
  return "not running: no ModelForge program answers at " + listen + "\n";
}

/// The same for scripts. Names are stable, like those of /status, which they extend.
json object_of(const view& seen) {
  auto limit = [](const std::optional<uint64_t>& y) { return y ? json(*y) : json(nullptr); };
  auto& limits = seen.settings->rate_limit;
  json result{{"name", seen.status.name},
              {"kind", seen.status.kind},
              {"base_url", seen.status.base_url},
              {"running", seen.running},
              {"ready", seen.is_ready()},
              {"problem", ""},
              {"default_model", seen.settings->default_model},
              {"requests_per_minute", limit(limits.requests_per_minute)},
              {"tokens_per_minute", limit(limits.tokens_per_minute)}};
  result.update(json::parse(telemetry::to_json(seen.status)));
  result["problem"] = seen.trouble.empty() ? seen.status.problem : seen.trouble;
  if (seen.running)
    result["state"] = name_of(seen.state);
  return result;
}

int print_json(const std::vector<view>& all, const std::optional<telemetry::program_status>& program) {
  auto list = json::array();
  for (auto& seen : all)
    list.push_back(object_of(seen));
  json result{{"running", program.has_value()},
              {"pid", program ? json(program->pid) : json(nullptr)},
              {"providers", std::move(list)}};
  return print(result.dump(2, ' ', false, json::error_handler_t::replace) + "\n") ? exit_ok : exit_failed;
}

/// What `modelforge providers` does.
int providers(const std::string& config, bool as_json) {
  auto all = load_settings(config);
  if (!all)
    return exit_usage;
  auto program = ask_running(all->metrics);
  auto views = find_out(*all, program);
  if (as_json)
    return print_json(views, program);
  auto text = headline(*all, program);
  for (auto& seen : views)
    text += block_of(seen);
  return print(printable(std::move(text))) ? exit_ok : exit_failed;
}

} // namespace

void add_providers(command_line& line) {
  struct providers_options {
    std::string config;
    bool json = false;
  };
  auto options = std::make_shared<providers_options>();
  auto providers = line.add("providers", "List the configured providers and whether they are ready");
  add_config_file(providers, options->config);
  providers.flag("--json", options->json, "Print JSON");
  providers.footer(
    "Examples:\n  modelforge providers\n  modelforge providers --json | jq '.providers[] | select(.ready | not)'\n\n"
    "A running program with a port in [metrics] is asked for its figures.");
  providers.run_by([options] { return cli::providers(options->config, options->json); });
}

} // namespace modelforge::cli
