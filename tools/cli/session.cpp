#include "tools/cli/ask.hpp"

#include "tools/cli/output.hpp"
#include "tools/simulator/simulator.hpp"
#include "wire/dialect.hpp"

#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <iterator>
#include <poll.h>
#include <sstream>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace modelforge::cli {

// -- waiting ----------------------------------------------------------------------

waiter::waiter(bool hangups) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  if (hangups)
    sigaddset(&set, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  signals_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (wake_ < 0 || signals_ < 0)
    throw std::system_error(errno, std::generic_category(), "eventfd");
}

waiter::~waiter() {
  close(wake_);
  close(signals_);
}

void waiter::wake() {
  uint64_t one = 1;
  static_cast<void>(!::write(wake_, &one, sizeof(one)));
}

waiter::event waiter::wait(std::chrono::milliseconds most) {
  pollfd what[] = {{signals_, POLLIN, 0}, {wake_, POLLIN, 0}};
  if (poll(what, 2, static_cast<int>(most.count())) <= 0)
    return event::timeout;
  signalfd_siginfo info;
  if (::read(signals_, &info, sizeof(info)) == sizeof(info)) {
    if (info.ssi_signo == SIGHUP)
      return event::hangup;
    if (interrupted_)
      _exit(exit_interrupted);
    interrupted_ = true;
    return event::interrupted;
  }
  uint64_t count = 0;
  static_cast<void>(!::read(wake_, &count, sizeof(count)));
  return event::woken;
}

// -- the provider ---------------------------------------------------------------------

namespace {

std::optional<provider_settings> choose(const settings& all, const std::string& name) {
  if (name.empty()) { // the first one that this version can speak to
    for (auto& x : all.providers)
      if (wire::find_dialect(name_of(x.kind)) != nullptr)
        return x;
    return all.providers.front();
  }
  std::string known;
  for (auto& x : all.providers) {
    if (x.name == name)
      return x;
    known += (known.empty() ? "" : ", ") + x.name;
  }
  complain("there is no provider \"" + name + "\"; configured: " + known);
  return {};
}

} // namespace

std::optional<std::vector<session_provider>> choose_providers(const settings& all, const std::string& names,
                                                              bool several) {
  std::vector<session_provider> result;
  std::istringstream in{several && !names.empty() ? names : std::string{"\n"}};
  for (std::string one; std::getline(in, one, ',');) {
    auto equals = several ? one.find('=') : one.npos;
    session_provider x;
    if (equals != one.npos) {
      auto* end = one.data() + one.size();
      auto [stop, error] = std::from_chars(one.data() + equals + 1, end, x.weight);
      if (error != std::errc{} || stop != end || !(x.weight > 0 && x.weight < 1e6)) {
        complain("the weight in \"" + one + "\" is no number above 0; write PROVIDER=WEIGHT");
        return {};
      }
    }
    auto chosen = choose(all, several && !names.empty() ? one.substr(0, equals) : names);
    if (!chosen)
      return {};
    x.settings = std::move(*chosen);
    if (std::any_of(result.begin(), result.end(), [&](auto& y) { return y.settings.name == x.settings.name; })) {
      complain("the provider \"" + x.settings.name + "\" is named twice");
      return {};
    }
    result.push_back(std::move(x));
  }
  auto weighted = std::count_if(result.begin(), result.end(), [](auto& x) { return x.weight > 0; });
  if (weighted > 0 && weighted < std::ssize(result)) {
    complain("give every provider a weight, or none: " + names);
    return {};
  }
  return result;
}

namespace {

/// Fast enough to be no bore, slow enough to see that something is going on.
simulator::options simulated_pace() {
  simulator::options x;
  x.latency = std::chrono::milliseconds{150};
  x.tokens_per_second = 300;
  return x;
}

provider_settings simulated_provider(const std::string& url) {
  provider_settings x;
  x.name = "simulator";
  x.kind = provider_kind::openai_compatible;
  x.base_url = url + "/v1";
  x.default_model = "simulated-mini";
  x.default_embedding_model = "simulated-embedding";
  return x;
}

/// A command that calls providers of nodes is a short-lived node of its own beside them, also where the configuration
/// is that of a node on this machine: two programs with one provider would add up its limits.
void become_guest(settings& x) {
  if (std::all_of(x.providers.begin(), x.providers.end(), [](auto& y) { return y.nodes.empty(); })) {
    x.node = {};
    return;
  }
  if (!x.node.listen.empty() && !x.node.listen.ends_with(":0"))
    x.node.peers.push_back(x.node.listen);
  x.node.listen.clear();
  auto suffix =
    "." + std::to_string(getpid()); // no node's own name has a dot; the certificate is that of the name before it
  x.node.name = x.node.name.substr(0, 64 - suffix.size()) + suffix;
}

} // namespace

session::session() = default;

std::unique_ptr<session> session::start(const target_options& x, bool needs_model,
                                        const std::function<void(provider_settings&)>& adapt) {
  std::unique_ptr<session> result{new session};
  modelforge::settings all;
  if (x.simulate) {
    if (!x.config.empty() || !x.provider.empty())
      std::fputs("modelforge: warning: --simulate asks the simulated provider; -c and -p have no effect\n", stderr);
    try {
      result->simulator_ = std::make_unique<simulator::server>(simulated_pace());
    } catch (const std::exception& error) {
      complain(error.what());
      return nullptr;
    }
    result->providers_.push_back({simulated_provider(result->simulator_->url()), 0, {}});
  } else {
    auto loaded = load_settings(x.config);
    if (!loaded)
      return nullptr;
    all = std::move(*loaded);
    auto chosen = choose_providers(all, x.provider, adapt != nullptr);
    if (!chosen)
      return nullptr;
    result->providers_ = std::move(*chosen);
    result->metrics_settings_ = all.metrics;
  }
  for (auto& one : result->providers_) {
    if (needs_model && x.model.empty() && one.settings.default_model.empty()) {
      complain("no model: add -m NAME, or set default_model for provider " + one.settings.name);
      return nullptr;
    }
    if (adapt)
      adapt(one.settings);
  }
  all.providers.clear();
  for (auto& one : result->providers_)
    all.providers.push_back(one.settings);
  become_guest(all);
  init_types();
  apply(all, result->config_);
  result->system_ = std::make_unique<caf::actor_system>(result->config_);
  auto spawned = spawn_registry(*result->system_, all);
  if (auto* problem = std::get_if<failure>(&spawned)) {
    complain(to_string(*problem));
    return nullptr;
  }
  result->registry_ = std::get<registry_actor>(std::move(spawned));
  caf::scoped_actor self{*result->system_};
  for (auto& one : result->providers_)
    self->request(result->registry_, caf::infinite, caf::get_atom_v, one.settings.name)
      .receive([&](provider_actor& found) { one.actor = std::move(found); }, [](const caf::error&) {});
  return result;
}

std::optional<failure> session::serve_metrics() {
  if (metrics_settings_.listen.empty())
    return {};
  std::vector<provider_actor> actors;
  for (auto& one : providers_)
    actors.push_back(one.actor);
  auto started = modelforge::serve_metrics(*system_, metrics_settings_, std::move(actors));
  if (auto* problem = std::get_if<failure>(&started))
    return std::move(*problem);
  metrics_ = std::get<0>(std::move(started));
  if (metrics_settings_.listen.ends_with(":0")) // nobody could know otherwise
    std::fprintf(stderr, "modelforge: metrics at %s/metrics\n", metrics_->url().c_str());
  return {};
}

session::~session() {
  providers_.clear();
  if (registry_ != nullptr)
    caf::anon_send_exit(registry_, caf::exit_reason::user_shutdown);
}

// -- asking -----------------------------------------------------------------------------

int exit_code_of(const failure& why) {
  return why.code == errc::configuration ? exit_usage : exit_failed;
}

bool wait_for_end(waiter& waiter, const std::function<void()>& stop) {
  for (;;)
    switch (waiter.wait(std::chrono::hours{1})) {
      case waiter::event::interrupted:
        stop();
        if (waiter.wait(std::chrono::seconds{5}) != waiter::event::woken) {
          complain("interrupted");
          _exit(exit_interrupted);
        }
        return false;
      case waiter::event::woken:
        return true;
      case waiter::event::hangup:
      case waiter::event::timeout:
        break;
    }
}

} // namespace modelforge::cli
