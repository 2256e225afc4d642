#include "tools/cli/ask.hpp"
#include "tools/cli/output.hpp"
#include "tools/cli/reread.hpp"
#include "tools/cli/service_manager.hpp"

#include "actors/registry_view.hpp"
#include "base/ascii.hpp"
#include "telemetry/status_json.hpp"

#include <modelforge/config/load.hpp>

#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unistd.h>
#include <utility>

/// `modelforge node`: the providers of a file, run for other programs until a signal comes.

namespace modelforge::cli {

namespace {

/// How often a service manager is told how the node stands, if there is one.
constexpr auto look_interval = std::chrono::milliseconds{200};

/// What ending takes beyond the grace period: requests are cut off, connections closed, limits written.
constexpr auto max_end_time = std::chrono::seconds{15};

/// Standard output has one line only, for scripts that wait for it; the rest goes to standard error.
void say(const std::string& text) {
  std::fprintf(stderr, "modelforge: %s\n", text.c_str());
}

constexpr auto node_examples = R"(Examples:
  modelforge node -c owner.toml
  script/certs certs a b                 a private authority, and certificates for the nodes a and b

The file says in [node] what this node is called, where it listens and which peers it connects to, and in each provider
which node runs it: nodes = ["a"]. The first line on standard output is "listening HOST:PORT"; what happens is logged on
standard error, unless [log] says otherwise. SIGHUP opens the logs' files again and reads the settings again: all of them
are taken over, or nothing. SIGUSR1 prints the status as one line of JSON on standard error. SIGTERM or Ctrl-C lets
running requests end within `grace_period`, a second one cuts them off. Under systemd (Type=notify) it tells when it is
ready, reloads, ends, and still answers.)";

/// Asks how the node stands, one question at a time and without waiting for the answer: where the actors hang, signals
/// are still seen.
class status_question {
public:
  void ask(host& host) {
    if (shared_->is_open.exchange(true))
      return;
    host.system().spawn([shared = shared_, registry = host.registry()](caf::event_based_actor* self) {
      modelforge::ask(self, registry, status_atom_v)
        .then([shared](node_status& status) { shared->put(std::move(status)); },
              [shared](const caf::error&) { shared->put({}); });
    });
  }

  /// What has been answered since the last time.
  std::optional<node_status> take_answer() {
    std::lock_guard lock{shared_->mutex};
    return std::exchange(shared_->answer, {});
  }

private:
  struct shared_state {
    void put(std::optional<node_status> status) {
      std::lock_guard lock{mutex};
      answer = std::move(status);
      is_open = false;
    }

    std::mutex mutex;
    std::optional<node_status> answer;
    std::atomic<bool> is_open = false;
  };

  std::shared_ptr<shared_state> shared_ = std::make_shared<shared_state>();
};

/// A node that runs until a signal ends it. The registry and the node's actors do the work; here is what a program
/// adds: where it listens, what it says of its links, reading the file again, and the drain. Used by the main thread,
/// which waits for signals in between; only `waiter_.wake` is called from others.
class running_node {
public:
  running_node(const settings& all, waiter& waiter) : settings_(all), waiter_(waiter), host_(settings_) {}

  /// Listens and connects from now on. A failure says why it cannot; then nothing runs. `origin`: the settings' file.
  std::optional<failure> start(const std::string& origin) {
    if (auto problem = host_.start(settings_, origin, {{}, log_level::info, "stderr"}))
      return problem;
    host_.watch(settings_.metrics);
    if (auto url = host_.metrics_url(); !url.empty())
      say("metrics at " + url);
    return {};
  }

  node_status status() { return host_.status(); }

  /// Tells the service manager that the work begins.
  void report_ready() {
    manager_.status(status_line(status()));
    manager_.ready();
    if (!manager_.problem().empty())
      say("warning: " + manager_.problem());
  }

  /// How long to wait for a signal before the next `report`.
  std::chrono::milliseconds report_interval() const {
    return manager_.is_there() ? look_interval : std::chrono::hours{1};
  }

  /// Tells the service manager that the actors answer.
  void report() {
    if (!manager_.is_there())
      return;
    if (auto status = question_.take_answer()) {
      manager_.alive(std::chrono::steady_clock::now());
      manager_.status(status_line(*status));
    }
    question_.ask(host_);
  }

  /// Prints how the program stands, as /status has it.
  void print_status() {
    if (auto status = host_.program_status())
      say("status " + std::string{ascii::trim(telemetry::to_json(*status))});
    else
      say("warning: the actors do not answer, and tell no status");
  }

  /// Opens the log's file again, reads the settings again, and takes over what they say, or nothing; the log says
  /// which. `is_found`: nobody has named their file.
  void reload(const std::string& path, bool is_found) {
    manager_.reloading();
    reopen(host_.log());
    auto registry = view_of(host_.registry());
    auto refuse = [&](const std::string& why) {
      registry.run([path, why](registry_view& its) { its.refuse_reload(path, why); });
    };
    auto take = [&](const std::string& text) { return take_over(text, path); };
    is_refused_ = !reread_settings(path, is_found, refuse, take);
    report_ready();
  }

  /// Lets what runs end, within the grace period.
  void drain() {
    auto grace = std::chrono::duration_cast<caf::timespan>(settings_.runtime.grace_period);
    if (isatty(STDERR_FILENO) != 0)
      say("waiting up to " + duration_text(grace) + " for what is running (again to cut it off)");
    manager_.stopping(grace + max_end_time);
    manager_.status("shutting down; waiting up to " + duration_text(grace) + " for what is running");
    host_.system().spawn([this, grace](caf::event_based_actor* self) {
      ask(self, host_.registry(), drain_atom_v, grace)
        .then([this] { waiter_.wake(); }, [this](const caf::error&) { waiter_.wake(); });
    });
    for (;;) // a second signal ends the process in `wait`
      if (auto event = waiter_.wait(std::chrono::hours{1}); event == waiter::event::woken)
        return;
      else if (event == waiter::event::status_wanted)
        print_status();
  }

private:
  /// "listening 127.0.0.1:4711; 2 of 3 links are up"
  std::string status_line(const node_status& status) const {
    auto line = status.listening.empty() ? std::string{"running"} : "listening " + status.listening;
    auto up = std::count_if(status.peers.begin(), status.peers.end(), [](auto& peer) { return peer.up; });
    if (!status.peers.empty())
      line += "; " + std::to_string(up) + " of " + std::to_string(status.peers.size()) + " links are up";
    return is_refused_ ? line + "; the last settings were refused, those before go on" : line;
  }

  /// The registry decides whether the new settings can be had, changes all or nothing, and tells the log. The grace
  /// period is this program's own, so it is taken from the file here. Returns whether they are in force.
  bool take_over(const std::string& text, const std::string& path) {
    auto read_here = parse(text, path); // first: once they are in force, nothing can go wrong any more
    auto is_taken = false;
    caf::scoped_actor self{host_.system()};
    self->request(host_.registry(), caf::infinite, reload_atom_v, text, path)
      .receive([&](const reload_report&) { is_taken = true; }, [](const caf::error&) {});
    if (is_taken && read_here.value)
      settings_.runtime.grace_period = read_here.value->runtime.grace_period;
    return is_taken;
  }

  settings settings_;
  waiter& waiter_;
  host host_;
  service_manager manager_;
  status_question question_;
  bool is_refused_ = false; ///< What the last reload brought.
};

/// What `modelforge node` does: starts, says where it listens, and goes on until a signal. Where a service
/// manager listens, links are looked at five times a second rather than reported by the actors: they may change faster
/// than anybody can read.
int node(const std::string& config) {
  auto all = load_settings(config);
  if (!all)
    return exit_usage;
  if (all->node.listen.empty() && all->node.peers.empty()) {
    complain("this configuration is not that of a node: set `name` and `listen` in [node]");
    return exit_usage;
  }
  auto source = discover(config);
  waiter waiter{waiter::hangups::order};
  running_node running{*all, waiter};
  if (auto problem = running.start(source.origin)) {
    complain(to_string(*problem));
    return exit_code_of(*problem);
  }
  auto status = running.status();
  std::printf("%s\n", status.listening.empty() ? "running" : ("listening " + status.listening).c_str());
  std::fflush(stdout);
  running.report_ready();
  for (;;) {
    running.report();
    switch (waiter.wait(running.report_interval())) {
      case waiter::event::interrupted:
        running.drain();
        return exit_ok;
      case waiter::event::hangup:
        running.reload(source.origin, source.is_found_here);
        break;
      case waiter::event::status_wanted:
        running.print_status();
        break;
      default:
        break;
    }
  }
}

} // namespace

void add_node(command_line& line) {
  auto config = std::make_shared<std::string>();
  auto node = line.add("node", "Run the configured providers for other nodes");
  add_config_file(node, *config);
  node.footer(node_examples);
  node.run_by([config] { return cli::node(*config); });
}

} // namespace modelforge::cli
