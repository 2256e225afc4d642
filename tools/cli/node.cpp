#include "config/read_file.hpp"
#include "tools/cli/ask.hpp"
#include "tools/cli/output.hpp"

#include <modelforge/actors/metrics.hpp>
#include <modelforge/actors/registry.hpp>
#include <modelforge/config/load.hpp>

#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <variant>

namespace modelforge::cli {

namespace {

constexpr auto look_interval = std::chrono::milliseconds{200};

/// Bytes of a file of settings.
constexpr std::size_t settings_limit = 1u << 20;

void say(const std::string& text) {
  std::fprintf(stderr, "modelforge: %s\n", text.c_str());
}

/// A node that runs until a signal ends it.
class running_node {
public:
  running_node(const settings& x, waiter& waiter) : settings_(x), waiter_(waiter) {
    init_types();
    apply(settings_, config_);
    system_ = std::make_unique<caf::actor_system>(config_);
  }

  ~running_node() {
    metrics_.reset();
    if (registry_ != nullptr)
      caf::anon_send_exit(registry_, caf::exit_reason::user_shutdown);
  }

  std::optional<failure> start() {
    auto made = spawn_registry(*system_, settings_);
    if (auto* problem = std::get_if<failure>(&made))
      return std::move(*problem);
    registry_ = std::get<registry_actor>(std::move(made));
    if (settings_.metrics.listen.empty())
      return {};
    auto served = modelforge::serve_metrics(*system_, settings_.metrics, registry_);
    if (auto* problem = std::get_if<failure>(&served))
      return std::move(*problem);
    metrics_ = std::get<0>(std::move(served));
    say("metrics at " + metrics_->url() + "/metrics");
    return {};
  }

  node_status status() {
    node_status result;
    caf::scoped_actor self{*system_};
    self->request(registry_, caf::infinite, status_atom_v)
      .receive([&](node_status& x) { result = std::move(x); }, [](const caf::error&) {});
    return result;
  }

  /// Tells what has changed about links since the last time.
  void tell_links() {
    for (auto& x : status().peers) {
      auto who = x.name.empty() ? x.address : x.name + (x.address.empty() ? "" : " at " + x.address);
      auto now = x.up ? "linked with " + who : x.problem.empty() ? "" : "no link to " + who + ": " + x.problem;
      auto& told = told_[x.address.empty() ? x.name : x.address];
      if (now.empty() || now == told)
        continue;
      told = now;
      say(now);
    }
  }

  /// Reads the file again, and takes over what it says, or nothing.
  void reload(const std::string& path) {
    try {
      if (auto problem = try_reload(path))
        complain(*problem + "\nnothing has changed");
    } catch (const std::exception& x) { // no memory, say; what runs goes on
      complain("cannot read " + path + " again: " + x.what() + "\nnothing has changed");
    }
  }

  /// Lets what runs end, within the grace period.
  void drain() {
    auto grace = std::chrono::duration_cast<caf::timespan>(settings_.runtime.grace_period);
    say("ending; waiting up to " + duration_text(grace) + " for what is running (again to cut it off)");
    system_->spawn([this, grace](caf::event_based_actor* self) {
      ask(self, registry_, drain_atom_v, grace)
        .then([this] { waiter_.wake(); }, [this](const caf::error&) { waiter_.wake(); });
    });
    while (waiter_.wait(std::chrono::hours{1}) != waiter::event::woken) // a second signal ends the process there
      continue;
  }

private:
  /// Returns why it did not go.
  std::optional<std::string> try_reload(const std::string& path) {
    std::error_code ignored;
    if (std::filesystem::exists(path, ignored) && !std::filesystem::is_regular_file(path, ignored))
      return "cannot read " + path + " again: it is no regular file"; // a pipe could keep us for ever
    auto content = read_file(path, settings_limit);
    if (auto* why = std::get_if<std::string>(&content))
      return "cannot read " + path + " again: " + *why;
    auto& text = std::get<file_text>(content).text;
    if (text.empty())
      return "cannot read " + path + " again: it is empty";
    std::optional<std::string> problem;
    caf::scoped_actor self{*system_};
    self->request(registry_, caf::infinite, reload_atom_v, text, path)
      .receive([](reload_report& x) { tell(x); }, [&](const caf::error& x) { problem = failure_of(x).message; });
    if (auto now = problem ? load_result{} : parse(text, path); now.value)
      settings_.runtime.grace_period = now.value->runtime.grace_period;
    return problem;
  }

  static void tell(const reload_report& x) {
    std::string text;
    auto add = [&](const char* what, const std::vector<std::string>& names) {
      for (auto& name : names)
        text += (&name != &names.front() ? ", " : (text.empty() ? "" : "; ") + std::string{what} + " ") + name;
    };
    add("changed", x.changed);
    add("added", x.added);
    add("replaced", x.replaced);
    add("removed", x.removed);
    add("needs a restart:", x.needs_restart);
    say("settings read again: " + (text.empty() ? "nothing has changed" : text));
  }

  settings settings_;
  waiter& waiter_;
  caf::actor_system_config config_;
  std::unique_ptr<caf::actor_system> system_;
  registry_actor registry_;
  std::unique_ptr<metrics_server> metrics_;
  std::map<std::string, std::string> told_; ///< By peer.
};

} // namespace

int node(const node_options& x) {
  auto all = load_settings(x.config);
  if (!all)
    return exit_usage;
  if (all->node.listen.empty() && all->node.peers.empty()) {
    complain("this configuration is not that of a node: set `name` and `listen` in [node]");
    return exit_usage;
  }
  auto path = discover(x.config).origin;
  waiter waiter{true};
  running_node running{*all, waiter};
  if (auto problem = running.start()) {
    complain(to_string(*problem));
    return exit_code_of(*problem);
  }
  auto status = running.status();
  std::printf("%s\n", status.listening.empty() ? "running" : ("listening " + status.listening).c_str());
  std::fflush(stdout);
  for (;;) {
    running.tell_links();
    switch (waiter.wait(look_interval)) {
      case waiter::event::interrupted:
        running.drain();
        return exit_ok;
      case waiter::event::hangup:
        running.reload(path);
        break;
      default:
        break;
    }
  }
}

} // namespace modelforge::cli
