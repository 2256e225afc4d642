#include "tools/cli/ask.hpp"

#include "base/ascii.hpp"
#include "tools/cli/output.hpp"
#include "tools/simulator/simulator.hpp"
#include "wire/vendors.hpp"

#include <modelforge/config/load.hpp>
#include <modelforge/config/secret.hpp>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <poll.h>
#include <sstream>
#include <string_view>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <system_error>
#include <unistd.h>
#include <utility>

/// What commands share that ask providers: waiting for an answer or Ctrl-C, choosing providers, and having them run.

namespace modelforge::cli {

// -- waiting ----------------------------------------------------------------------

// Signals are blocked and read from a descriptor, so that they come in order with everything else and interrupt
// nothing.
waiter::waiter(hangups how) : hangups_(how) {
  struct sigaction before {};
  if (how != hangups::order && sigaction(SIGHUP, nullptr, &before) == 0 && before.sa_handler == SIG_IGN)
    hangups_ = hangups::end_process; // which the kernel does not, as it is ignored
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGCONT);
  if (hangups_ != hangups::end_process)
    sigaddset(&set, SIGHUP);
  if (hangups_ == hangups::order)
    sigaddset(&set, SIGUSR1);
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

// Signals are looked at first: Ctrl-C counts also while the actors have much to say.
waiter::event waiter::wait(std::chrono::milliseconds max_time) {
  pollfd sources[] = {{signals_, POLLIN, 0}, {wake_, POLLIN, 0}};
  if (poll(sources, 2, static_cast<int>(max_time.count())) <= 0)
    return event::timeout;
  if (auto signal = next_signal(); signal == SIGHUP && hangups_ != hangups::as_termination) {
    return event::hangup;
  } else if (signal == SIGHUP) {
    return std::exchange(interrupted_, true) ? event::timeout : event::interrupted;
  } else if (signal == SIGUSR1) {
    return event::status_wanted;
  } else if (signal == SIGCONT) {
    return event::timeout;
  } else if (signal != 0) {
    if (interrupted_ && (!goes_on_ || is_terminated_))
      _exit(exit_interrupted);
    interrupted_ = true;
    return event::interrupted;
  }
  uint64_t count = 0;
  static_cast<void>(!::read(wake_, &count, sizeof(count)));
  return event::woken;
}

waiter::event waiter::wait_for_input(int descriptor) {
  for (;;) {
    pollfd sources[] = {{signals_, POLLIN, 0}, {descriptor, POLLIN, 0}};
    if (poll(sources, 2, -1) < 0 && errno != EINTR)
      return event::input; // what is wrong with it `read` says
    if (auto signal = next_signal(); is_terminated_)
      return event::terminated;
    else if (signal == SIGINT)
      return event::interrupted;
    else if (signal == SIGCONT)
      return event::continued;
    if (sources[1].revents != 0)
      return event::input;
  }
}

void waiter::begin_again() {
  goes_on_ = true;
  interrupted_ = false;
  uint64_t count = 0;
  static_cast<void>(!::read(wake_, &count, sizeof(count)));
}

/// Takes the next signal that has come; 0: none has.
int waiter::next_signal() {
  signalfd_siginfo info;
  if (::read(signals_, &info, sizeof(info)) != sizeof(info))
    return 0;
  if (info.ssi_signo == SIGTERM || (info.ssi_signo == SIGHUP && hangups_ == hangups::as_termination))
    is_terminated_ = true;
  return static_cast<int>(info.ssi_signo);
}

// -- the provider ---------------------------------------------------------------------

namespace {

/// Why a provider cannot be asked, as far as its settings tell; empty: it can.
std::string hindrance_of(const provider_settings& provider) {
  if (wire::find_dialect(name_of(provider.kind)) == nullptr)
    return "this version does not speak to kind " + std::string{name_of(provider.kind)};
  if (!provider.nodes.empty()) // keys and headers may be its owner's alone
    return {};
  for (auto& key : provider.keys)
    if (auto found = resolve(key); auto* problem = std::get_if<std::string>(&found))
      return *problem;
  for (auto& header : provider.headers)
    if (!header.env.empty() && std::getenv(header.env.c_str()) == nullptr)
      return "environment variable " + header.env + " is not set";
  return {};
}

/// The first that can be asked; where none can, the first, whose failure says why. Who meant another one should know.
session_provider first_usable(const std::vector<provider_settings>& all) {
  for (auto& provider : all)
    if (hindrance_of(provider).empty()) {
      session_provider chosen{provider, 0, {}};
      if (&provider != &all.front())
        chosen.note =
          "asking " + provider.name + ", since " + all.front().name + " cannot be: " + hindrance_of(all.front());
      if (!chosen.note.empty())
        std::fprintf(stderr, "modelforge: %s\n", chosen.note.c_str());
      return chosen;
    }
  return {all.front(), 0, {}};
}

std::optional<session_provider> choose(const settings& all, const std::string& name) {
  if (name.empty())
    return first_usable(all.providers);
  std::string known;
  for (auto& provider : all.providers) {
    if (provider.name == name)
      return session_provider{provider, 0, {}};
    known += (known.empty() ? "" : ", ") + provider.name;
  }
  complain("there is no provider \"" + name + "\"; configured: " + known);
  return {};
}

} // namespace

// Weights are all or none: with some of them it could not be said what the others' share is.
std::optional<std::vector<session_provider>> choose_providers(const settings& all, const std::string& names,
                                                              bool several) {
  std::vector<session_provider> result;
  auto is_list = several && !names.empty();
  std::istringstream list{is_list ? names + "," : ","}; // so that what is behind a last comma counts, too
  for (std::string one; std::getline(list, one, ',');) {
    auto equals = is_list ? one.find('=') : one.npos;
    std::string name{ascii::trim(std::string_view{one}.substr(0, equals))};
    if (is_list && name.empty()) {
      complain("a name is missing in the list of providers \"" + names
               + "\"; write NAME or NAME=WEIGHT, parted by commas");
      return {};
    }
    session_provider entry;
    if (equals != one.npos) {
      auto weight = ascii::trim(std::string_view{one}.substr(equals + 1));
      auto* end = weight.data() + weight.size();
      auto [stop, error] = std::from_chars(weight.data(), end, entry.weight);
      if (error != std::errc{} || stop != end || !(entry.weight > 0 && entry.weight < 1e6)) {
        complain("the weight in \"" + one + "\" is not a number above 0; write PROVIDER=WEIGHT");
        return {};
      }
    }
    auto chosen = choose(all, is_list ? name : names);
    if (!chosen)
      return {};
    entry.settings = std::move(chosen->settings);
    entry.note = std::move(chosen->note);
    if (std::any_of(result.begin(), result.end(), [&](auto& y) { return y.settings.name == entry.settings.name; })) {
      complain("the provider \"" + entry.settings.name + "\" is named twice");
      return {};
    }
    result.push_back(std::move(entry));
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
  simulator::options options;
  options.latency = std::chrono::milliseconds{150};
  options.tokens_per_second = 300;
  return options;
}

provider_settings simulated_provider(const std::string& url) {
  provider_settings result;
  result.name = "simulator";
  result.kind = provider_kind::openai_compatible;
  result.base_url = url + "/v1";
  result.default_model = "simulated-mini";
  result.default_embedding_model = "simulated-embedding";
  return result;
}

/// A command that calls providers of nodes is a short-lived node of its own beside them, also where the configuration
/// is that of a node on this machine: two programs with one provider would add up its limits.
void become_guest(settings& all) {
  if (std::all_of(all.providers.begin(), all.providers.end(), [](auto& y) { return y.nodes.empty(); })) {
    all.node = {};
    return;
  }
  if (!all.node.listen.empty() && !all.node.listen.ends_with(":0"))
    all.node.peers.push_back(all.node.listen);
  all.node.listen.clear();
  auto suffix =
    "." + std::to_string(getpid()); // no node's own name has a dot; the certificate is that of the name before it
  all.node.name = all.node.name.substr(0, 64 - suffix.size()) + suffix;
}

} // namespace

namespace {

/// The provider that was asked earlier, if it is still there; else says that another one is asked, and returns "".
std::string earlier_one(const settings& all, const target_options& target) {
  auto& name = target.earlier_provider;
  auto is_here = std::any_of(all.providers.begin(), all.providers.end(), [&](auto& x) { return x.name == name; });
  if (!is_here && !name.empty())
    std::fprintf(stderr, "modelforge: the conversation was with %s, which is not configured; asking another one\n",
                 name.c_str());
  return is_here ? name : "";
}

} // namespace

session::session()
  : notice_(std::make_shared<wait_notice>(isatty(STDERR_FILENO) != 0, std::chrono::steady_clock::now())),
    asking_(std::make_shared<std::atomic<bool>>(false)) {}

session::~session() = default;

// What the command line says is worked into the settings first; the actors then see nothing else.
std::unique_ptr<session> session::start(const target_options& target, bool needs_model,
                                        const std::function<void(provider_settings&)>& adapt) {
  std::unique_ptr<session> result{new session};
  modelforge::settings all;
  if (!(target.simulate ? result->simulate(target) : result->choose(target, all, adapt != nullptr)))
    return nullptr;
  all.providers.clear();
  for (auto& one : result->providers_) {
    if (one.settings.name == target.earlier_provider && !target.earlier_model.empty())
      one.settings.default_model = target.earlier_model;
    if (needs_model && target.model.empty() && one.settings.default_model.empty()) {
      complain("no model: add -m NAME, or set default_model for provider " + one.settings.name);
      return nullptr;
    }
    if (adapt)
      adapt(one.settings);
    all.providers.push_back(one.settings);
  }
  become_guest(all);
  auto is_watched = !all.metrics.listen.empty(); // else nobody asks
  auto origin = is_watched ? discover(target.config).origin : std::string{};
  return result->start_actors(all, std::move(origin)) ? std::move(result) : nullptr;
}

/// Starts the simulator in this process, as the only provider. No proxy can reach it.
bool session::simulate(const target_options& target) {
  tell_simulated();
  if (!target.config.empty() || !target.provider.empty())
    std::fputs("modelforge: warning: --simulate asks the simulated provider; -c and -p have no effect\n", stderr);
  try {
    simulator_ = std::make_unique<simulator::server>(simulated_pace());
  } catch (const std::exception& error) {
    complain(error.what());
    return false;
  }
  setenv("no_proxy", "*", 1);
  providers_.push_back({simulated_provider(simulator_->url()), 0, {}});
  return true;
}

/// Finds the providers that are asked for. False: there are none, and why has been printed.
bool session::choose(const target_options& target, modelforge::settings& all, bool several) {
  auto loaded = load_settings(target.config);
  if (!loaded)
    return false;
  all = std::move(*loaded);
  auto chosen = choose_providers(all, target.provider.empty() ? earlier_one(all, target) : target.provider, several);
  if (!chosen)
    return false;
  providers_ = std::move(*chosen);
  keeps_history_ = all.history.keep;
  metrics_settings_ = all.metrics;
  runtime_ = all.runtime;
  return true;
}

/// Spawns what was chosen and finds its actors.
bool session::start_actors(const modelforge::settings& all, std::string origin) {
  host_ = std::make_unique<host>(all);
  if (auto problem = host_->start(all, std::move(origin))) {
    complain(to_string(*problem));
    return false;
  }
  for (auto& one : providers_)
    one.actor = host_->find(one.settings.name);
  return true;
}

void session::serve_metrics() {
  host_->watch(metrics_settings_);
  if (!host_->metrics_url().empty() && metrics_settings_.listen.ends_with(":0")) // nobody could know otherwise
    std::fprintf(stderr, "modelforge: metrics at %s\n", host_->metrics_url().c_str());
}

void session::ask_for_notice() {
  if (*asking_)
    return;
  *asking_ = true;
  system().spawn([notice = notice_, asking = asking_, provider = provider()](caf::event_based_actor* self) {
    auto take = [=](std::optional<provider_status> newest) {
      notice->take(std::move(newest));
      *asking = false;
    };
    ask(self, provider, status_atom_v)
      .then([take](provider_status& x) { take(std::move(x)); }, [take](const caf::error&) { take({}); });
  });
}

// -- asking -----------------------------------------------------------------------------

// What cannot be sent as it was asked for is for the user to mend, as any wrong argument is; a provider that has
// refused it may be another time's matter.
int exit_code_of(const failure& problem) {
  auto cannot_be_sent =
    problem.attempts.empty() && (problem.code == errc::invalid_request || problem.code == errc::unsupported);
  return cannot_be_sent || problem.code == errc::configuration ? exit_usage : exit_failed;
}

namespace {

/// Waits for `wake` for so long, whatever else happens.
bool is_woken_within(waiter& waiter, std::chrono::milliseconds time) {
  auto end = std::chrono::steady_clock::now() + time;
  for (auto left = time; left.count() > 0;
       left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()))
    if (waiter.wait(left) == waiter::event::woken)
      return true;
  return false;
}

} // namespace

// After Ctrl-C the request is withdrawn and its end awaited, so that the provider stops generating; but an end that
// does not come within seconds, say because standard output is blocked, is not waited for.
bool wait_for_end(session& session, waiter& waiter, const std::function<void()>& stop) {
  auto& notice = session.notice();
  for (;;) {
    auto is_watched = notice.is_wanted();
    auto event = waiter.wait(is_watched ? std::chrono::milliseconds{500} : std::chrono::hours{1});
    if (event != waiter::event::timeout)
      notice.end();
    switch (event) {
      case waiter::event::interrupted:
        stop();
        if (!is_woken_within(waiter, std::chrono::seconds{5})) {
          complain("interrupted");
          _exit(exit_interrupted);
        }
        return false;
      case waiter::event::woken:
        return true;
      case waiter::event::timeout:
        if (is_watched) {
          session.ask_for_notice();
          notice.show(std::chrono::steady_clock::now());
        }
        break;
      default:
        break;
    }
  }
}

} // namespace modelforge::cli
