#include "tools/cli/commands.hpp"
#include "tools/cli/output.hpp"

#include "dispatch/journal.hpp"
#include "http/client.hpp"
#include "telemetry/status_json.hpp"
#include "wire/dialect.hpp"

#include <modelforge/actors/provider.hpp>
#include <modelforge/actors/system.hpp>
#include <modelforge/config/secret.hpp>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
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

namespace modelforge::cli {

namespace {

using json = nlohmann::ordered_json;

constexpr auto ask_timeout = std::chrono::seconds{1};

/// A configured provider and how it is.
struct view {
  const provider_settings* settings = nullptr;
  bool running = false; ///< Seen in a running program; else `status` tells the configuration and what was kept.
  provider_status status;
  std::string trouble; ///< Why it could not be started; empty: it could, or it runs.
};

// -- finding out ----------------------------------------------------------------------

std::string address_of(const provider_settings& x) {
  auto* dialect = wire::find_dialect(name_of(x.kind));
  if (!x.base_url.empty() || dialect == nullptr)
    return x.base_url;
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
std::optional<telemetry::program_status> ask_running(const metrics_settings& x) {
  if (x.listen.empty() || x.listen.ends_with(":0"))
    return {};
  setenv("no_proxy", "*", 1); // this machine is not behind a proxy
  http::request request;
  request.method = "GET";
  request.url = status_url(x.listen);
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
    auto from = runtime.state_folder.empty() ? default_state_folder() : runtime.state_folder;
    std::error_code error;
    auto pattern = (fs::temp_directory_path(error) / "modelforge-XXXXXX").string();
    if (from.empty() || from == "none" || error || !fs::is_directory(from, error) || mkdtemp(pattern.data()) == nullptr)
      return;
    folder_ = pattern;
    for (auto& file : fs::directory_iterator{from, error})
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
    init_types();
    apply(runtime_, config_);
    system_ = std::make_unique<caf::actor_system>(config_);
  }

  void inspect(view& x) {
    auto spawned = spawn_provider(*system_, *x.settings, runtime_, transport_);
    if (auto* problem = std::get_if<failure>(&spawned)) {
      x.trouble = problem->message;
      return;
    }
    auto& provider = std::get<provider_actor>(spawned);
    caf::scoped_actor self{*system_};
    self->request(provider, ask_timeout, status_atom_v)
      .receive([&](provider_status& y) { x.status = std::move(y); },
               [&](const caf::error& why) { x.trouble = failure_of(why).message; });
    caf::anon_send_exit(provider, caf::exit_reason::user_shutdown);
  }

private:
  kept_limits limits_;
  runtime_settings runtime_;
  std::shared_ptr<http::client> transport_ = make_transport();
  caf::actor_system_config config_;
  std::unique_ptr<caf::actor_system> system_;
};

view configured(const provider_settings& x) {
  view y;
  y.settings = &x;
  y.status.name = x.name;
  y.status.kind = to_string(x.kind);
  y.status.base_url = address_of(x);
  y.status.max_concurrent = x.max_concurrent;
  return y;
}

std::vector<view> find_out(const settings& all, const std::optional<telemetry::program_status>& program) {
  std::vector<view> result;
  std::unique_ptr<idle_providers> idle;
  for (auto& x : all.providers) {
    auto y = configured(x);
    if (program)
      for (auto& status : program->providers)
        if (status.name == x.name) {
          y.status = status;
          y.running = true;
        }
    if (!y.running) {
      if (!idle)
        idle = std::make_unique<idle_providers>(all.runtime);
      idle->inspect(y);
    }
    result.push_back(std::move(y));
  }
  return result;
}

// -- showing --------------------------------------------------------------------------

std::string grouped(uint64_t x) {
  auto text = std::to_string(x);
  for (auto i = static_cast<int>(text.size()) - 3; i > 0; i -= 3)
    text.insert(static_cast<std::size_t>(i), ",");
  return text;
}

/// "431", "9,876", "180k", "12M"
std::string brief(uint64_t x) {
  return x < 10'000 ? grouped(x) : x < 10'000'000 ? grouped(x / 1'000) + "k" : grouped(x / 1'000'000) + "M";
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

std::string counts_text(const std::map<std::string, uint64_t>& x) {
  std::string text;
  for (auto& [name, count] : x)
    text += (text.empty() ? "" : ", ") + name + " " + grouped(count);
  return text;
}

uint64_t slots_of(const provider_status& x) {
  return std::accumulate(x.lanes.begin(), x.lanes.end(), uint64_t{0}, [](auto sum, auto& y) { return sum + y.slots; });
}

std::vector<std::string> queue_parts(const provider_status& x) {
  std::vector<std::string> parts{"in flight " + grouped(x.in_flight) + " of " + grouped(slots_of(x))};
  if (x.queued > 0)
    parts.push_back("queued " + grouped(x.queued)
                    + (x.queued_batch > 0 ? " (" + grouped(x.queued_batch) + " batch)" : ""));
  if (x.waiting > 0)
    parts.push_back((x.waiting == 1 ? "1 retry waits" : grouped(x.waiting) + " retries wait")
                    + (x.next_retry ? ", the next in " + duration_text(*x.next_retry) : ""));
  if (x.predicted_wait.count() > 0)
    parts.push_back("a request would wait " + duration_text(x.predicted_wait));
  return parts;
}

std::vector<std::string> count_parts(const provider_status& x) {
  std::vector<std::string> parts{"attempts " + grouped(x.attempts), "answered " + grouped(x.answered),
                                 "failed " + grouped(x.failed)};
  if (x.late > 0)
    parts.push_back("late " + grouped(x.late));
  if (!x.retries.empty())
    parts.push_back("retried: " + counts_text(x.retries));
  if (!x.refusals.empty())
    parts.push_back("refused: " + counts_text(x.refusals));
  return parts;
}

std::string use_text(const limit_use& x) {
  auto text = x.of + " " + brief(x.used) + " of " + brief(x.limit);
  if (x.limit > 0)
    text +=
      " (" + std::to_string(std::llround(100.0 * static_cast<double>(x.used) / static_cast<double>(x.limit))) + " %)";
  auto name = std::min(x.of.find(' '), x.of.size()); // of the limit; a model's may follow
  std::replace(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(name), '_', ' ');
  return text;
}

std::string lane_text(const lane_status& x, bool running) {
  std::string limits;
  for (auto& y : x.limits)
    limits += (limits.empty() ? "" : ", ") + use_text(y);
  auto text = "limits (" + x.name + "): " + (limits.empty() ? "none" : limits);
  if (running)
    text += "; breaker " + (x.breaker == "half_open" ? "half open" : x.breaker);
  if (x.paused_for)
    text += "; paused by the provider for " + duration_text(*x.paused_for);
  if (x.out)
    text += "; the provider refuses the key";
  return text;
}

std::string block_of(const view& x) {
  auto& status = x.status;
  auto state = !x.trouble.empty()             ? "not usable: " + x.trouble
               : x.running && status.draining ? std::string{"shutting down"}
                                              : std::string{"ready"};
  auto text = status.name + "  " + status.kind + "  " + status.base_url + "  " + state + "\n";
  if (x.running)
    text += lines_of(queue_parts(status));
  else
    text += lines_of({"at most " + grouped(status.max_concurrent) + " in flight"
                        + (x.settings->keys.size() > 1 ? " for each of its keys" : ""),
                      x.settings->default_model.empty() ? "no default model" : "model " + x.settings->default_model});
  for (auto& lane : status.lanes)
    if (x.running || !lane.limits.empty())
      text += lines_of({lane_text(lane, x.running)});
  if (x.running)
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
  return "not running: nothing of ours answers at " + listen + "\n";
}

json object_of(const view& x) {
  auto limit = [](const std::optional<uint64_t>& y) { return y ? json(*y) : json(nullptr); };
  auto& limits = x.settings->rate_limit;
  json result{{"name", x.status.name},
              {"kind", x.status.kind},
              {"base_url", x.status.base_url},
              {"running", x.running},
              {"ready", x.trouble.empty()},
              {"problem", ""},
              {"default_model", x.settings->default_model},
              {"requests_per_minute", limit(limits.requests_per_minute)},
              {"tokens_per_minute", limit(limits.tokens_per_minute)}};
  result.update(json::parse(telemetry::to_json(x.status)));
  result["problem"] = x.trouble.empty() ? x.status.problem : x.trouble;
  return result;
}

int print_json(const std::vector<view>& all, const std::optional<telemetry::program_status>& program) {
  auto list = json::array();
  for (auto& x : all)
    list.push_back(object_of(x));
  json result{{"running", program.has_value()},
              {"pid", program ? json(program->pid) : json(nullptr)},
              {"providers", std::move(list)}};
  return print(result.dump(2, ' ', false, json::error_handler_t::replace) + "\n") ? exit_ok : exit_failed;
}

} // namespace

int providers(const providers_options& options) {
  auto all = load_settings(options.config);
  if (!all)
    return exit_usage;
  auto program = ask_running(all->metrics);
  auto views = find_out(*all, program);
  if (options.json)
    return print_json(views, program);
  auto text = headline(*all, program);
  for (auto& x : views)
    text += block_of(x);
  return print(printable(std::move(text))) ? exit_ok : exit_failed;
}

} // namespace modelforge::cli
