#include "tools/cli/ask.hpp"

#include "tools/cli/output.hpp"
#include "tools/simulator/simulator.hpp"
#include "wire/dialect.hpp"

#include <caf/send.hpp>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <system_error>
#include <unistd.h>

namespace modelforge::cli {

// -- waiting ----------------------------------------------------------------------

waiter::waiter() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
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
  return x;
}

} // namespace

session::session() = default;

std::unique_ptr<session> session::start(const target_options& x, bool needs_model,
                                        const std::function<void(provider_settings&)>& adapt) {
  std::unique_ptr<session> result{new session};
  runtime_settings runtime;
  if (x.simulate) {
    if (!x.config.empty() || !x.provider.empty())
      std::fputs("modelforge: warning: --simulate asks the simulated provider; -c and -p have no effect\n", stderr);
    try {
      result->simulator_ = std::make_unique<simulator::server>(simulated_pace());
    } catch (const std::exception& error) {
      complain(error.what());
      return nullptr;
    }
    result->settings_ = simulated_provider(result->simulator_->url());
  } else {
    auto all = load_settings(x.config);
    if (!all)
      return nullptr;
    auto chosen = choose(*all, x.provider);
    if (!chosen)
      return nullptr;
    result->settings_ = std::move(*chosen);
    runtime = all->runtime;
    result->metrics_settings_ = all->metrics;
  }
  if (needs_model && x.model.empty() && result->settings_.default_model.empty()) {
    complain("no model: add -m NAME, or set default_model for provider " + result->settings_.name);
    return nullptr;
  }
  if (adapt)
    adapt(result->settings_);
  init_types();
  apply(runtime, result->config_);
  result->system_ = std::make_unique<caf::actor_system>(result->config_);
  auto provider = spawn_provider(*result->system_, result->settings_, runtime, make_transport());
  if (auto* problem = std::get_if<failure>(&provider)) {
    complain(to_string(*problem));
    return nullptr;
  }
  result->provider_ = std::get<provider_actor>(std::move(provider));
  return result;
}

std::optional<failure> session::serve_metrics() {
  if (metrics_settings_.listen.empty())
    return {};
  auto started = modelforge::serve_metrics(*system_, metrics_settings_, {provider_});
  if (auto* problem = std::get_if<failure>(&started))
    return std::move(*problem);
  metrics_ = std::get<0>(std::move(started));
  if (metrics_settings_.listen.ends_with(":0")) // nobody could know otherwise
    std::fprintf(stderr, "modelforge: metrics at %s/metrics\n", metrics_->url().c_str());
  return {};
}

session::~session() {
  if (provider_)
    caf::anon_send_exit(provider_, caf::exit_reason::user_shutdown);
  provider_ = nullptr;
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
      case waiter::event::timeout:
        break;
    }
}

} // namespace modelforge::cli
