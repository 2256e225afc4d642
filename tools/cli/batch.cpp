#include "tools/cli/output.hpp"
#include "tools/cli/progress.hpp"
#include "tools/cli/session.hpp"

#include "actors/support/mail.hpp"
#include "batch/ledger.hpp"

#include <modelforge/actors/batch_coordinator.hpp>

#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <mutex>
#include <sys/stat.h>
#include <utility>

namespace modelforge::cli {

using namespace std::chrono_literals;

namespace {

constexpr auto status_interval = 500ms;

/// Counts the items of a file, so that the time left can be told from the start; empty where that would take long.
std::optional<uint64_t> count_items(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode) || info.st_size > (256 << 20))
    return {};
  std::ifstream file{path, std::ios::binary};
  uint64_t items = 0;
  bool blank = true;
  for (char buffer[1 << 16]; file.read(buffer, sizeof(buffer)), file.gcount() > 0;)
    for (auto* c = buffer; c != buffer + file.gcount(); ++c)
      if (*c == '\n')
        items += !std::exchange(blank, true);
      else if (*c != ' ' && *c != '\t' && *c != '\r')
        blank = false;
  return items + !blank;
}

/// What the actors tell the main thread.
struct shared_progress {
  std::mutex mutex;
  batch_progress newest;
  std::chrono::steady_clock::time_point told{}; ///< When it came.
  std::optional<provider_status> provider;      ///< How it was when last asked.
  bool asking = false;
  std::optional<std::variant<batch_report, failure>> outcome;

  /// How the batch stands at `now`: while nothing new comes, time goes on all the same.
  batch_progress read(std::chrono::steady_clock::time_point now) {
    std::lock_guard guard{mutex};
    auto result = newest;
    if (told == std::chrono::steady_clock::time_point{})
      return result;
    auto age = std::max<std::chrono::nanoseconds>(now - told, 0ns);
    result.elapsed += age;
    for (auto& job : result.jobs)
      if (job.next_look)
        job.next_look = std::max(*job.next_look - age, 0ns);
    return result;
  }

  /// What the batch waits for; empty: it does not.
  std::string hindrance() {
    std::lock_guard guard{mutex};
    return provider ? wait_text(*provider) : std::string{};
  }
};

/// Asks the provider how it is, unless it still owes the last answer.
void ask_status(session& of, shared_progress& to) {
  {
    std::lock_guard guard{to.mutex};
    if (std::exchange(to.asking, true))
      return;
  }
  of.system().spawn([&to, provider = of.provider()](caf::event_based_actor* self) {
    auto take = [&to](std::optional<provider_status> x) {
      std::lock_guard guard{to.mutex};
      to.provider = std::move(x);
      to.asking = false;
    };
    ask(self, provider, status_atom_v)
      .then([take](provider_status& x) { take(std::move(x)); }, [take](const caf::error&) { take({}); });
  });
}

batch_observer_actor::behavior_type observer(batch_observer_actor::pointer, shared_progress* to) {
  return {
    [to](const batch_progress& x) {
      std::lock_guard guard{to->mutex};
      to->newest = x;
      to->told = std::chrono::steady_clock::now();
    },
  };
}

std::string grouped(uint64_t x) {
  auto text = std::to_string(x);
  for (auto i = static_cast<int>(text.size()) - 3; i > 0; i -= 3)
    text.insert(static_cast<std::size_t>(i), ",");
  return text;
}

std::string money(double x) {
  char text[32];
  std::snprintf(text, sizeof text, x < 0.1 ? "%.5f" : "%.2f", x);
  return text;
}

std::string tokens_text(const batch_share& x) {
  auto text = grouped(x.usage.input) + " in";
  if (x.usage.cached_read > 0)
    text += " (" + grouped(x.usage.cached_read) + " cached)";
  if (x.estimated_input > 0)
    text += " (estimated: " + grouped(x.estimated_input) + ")";
  text += ", " + grouped(x.usage.output) + " out";
  if (x.cost)
    text += "; cost: " + money(*x.cost);
  if (x.by_jobs > 0 && x.live_cost && *x.live_cost > *x.cost)
    text += " (live: " + money(*x.live_cost) + ")";
  return text;
}

void add(batch_share& to, const batch_share& x) {
  to.estimated_input += x.estimated_input;
  to.usage.input += x.usage.input;
  to.usage.output += x.usage.output;
  to.usage.cached_read += x.usage.cached_read;
  to.by_jobs += x.by_jobs;
  if (x.cost)
    to.cost = to.cost.value_or(0) + *x.cost;
  if (x.live_cost)
    to.live_cost = to.live_cost.value_or(0) + *x.live_cost;
}

void summarize(const batch_report& x) {
  auto items = x.answered + x.failed;
  auto done = items - std::min(items, x.resumed);
  auto seconds = std::max(1e-9, std::chrono::duration<double>(x.elapsed).count());
  std::fprintf(stderr, "%s requests: %s answered, %s failed, in %.1f s (%.1f/s)", grouped(items).c_str(),
               grouped(x.answered).c_str(), grouped(x.failed).c_str(), seconds, static_cast<double>(done) / seconds);
  std::fputs(x.resumed > 0 ? ("; " + grouped(x.resumed) + " of them earlier\n").c_str() : "\n", stderr);
  if (x.first_failure)
    std::fprintf(stderr, "the first failure: %s\n", to_string(*x.first_failure).c_str());
  batch_share sum;
  for (auto& share : x.shares)
    add(sum, share);
  if (x.shares.size() > 1)
    for (auto& share : x.shares)
      if (!share.provider.empty())
        std::fprintf(stderr, "%s: %s answered, %s failed; tokens: %s\n", share.provider.c_str(),
                     grouped(share.answered).c_str(), grouped(share.failed).c_str(), tokens_text(share).c_str());
  std::fprintf(stderr, "tokens: %s; HTTP attempts: %s; results: %s\n", tokens_text(sum).c_str(),
               grouped(x.attempts).c_str(), x.results.empty() ? "none" : x.results.c_str());
}

/// Says how to go on, where there is something left.
void explain_rest(const batch_report& x) {
  for (auto& warning : x.warnings)
    std::fprintf(stderr, "modelforge: warning: %s\n", warning.c_str());
  auto unfinished = x.cancelled || x.stopped_by;
  if (unfinished && !x.ledger.empty())
    std::fprintf(stderr, "what is done is kept in %s; run the same command again to go on\n", x.ledger.c_str());
  else if (x.resumed > 0 && x.resumed == x.answered + x.failed)
    std::fputs("nothing was left to do; --fresh starts over\n", stderr);
  if (!unfinished && x.failed > 0 && !x.ledger.empty())
    std::fputs("run it again with --retry-failed to send what failed once more\n", stderr);
}

int exit_code(const batch_report& x) {
  if (x.stopped_by)
    return x.answered + x.failed == 0 && x.stopped_by->code != errc::io_failed ? exit_usage : exit_failed;
  if (x.cancelled)
    return exit_interrupted;
  return x.failed == 0 ? exit_ok : exit_failed;
}

} // namespace

namespace {

/// Runs a batch to its end, shows how it goes on and what it came to. `cancel_jobs`: as in `batch_options`.
int run(const batch_command_options& x, bool cancel_jobs) {
  waiter waiter;
  shared_progress progress; // outlives the actors, which write to it
  auto session = session::start(x.target, false, [&](provider_settings& provider) {
    if (x.max_concurrent && *x.max_concurrent > 0) // what the command line says counts: so many batch items in flight
      provider.max_concurrent = *x.max_concurrent + provider.interactive_slots;
  });
  if (!session)
    return exit_usage;
  if (auto problem = session->serve_metrics()) {
    complain(to_string(*problem));
    return exit_usage;
  }

  batch_options options;
  options.input = x.input;
  options.output = x.output;
  options.model = x.target.model;
  options.max_concurrent = x.max_concurrent.value_or(options.max_concurrent);
  options.deadline = to_deadline(x.timeout);
  options.finish_within = to_deadline(x.deadline);
  options.fresh = x.fresh;
  options.retry_failed = x.retry_failed;
  options.job_items = x.job_items;
  options.cancel_jobs = cancel_jobs;
  from_string(x.order, options.order);
  from_string(x.after_expiry, options.after_expiry);
  if (!from_string(x.mode, options.mode) && session->settings().optimizations.enable_batch_api)
    options.mode = batch_mode::automatic;
  std::vector<batch_provider> providers;
  for (auto& one : session->providers())
    providers.push_back({one.actor, one.weight, one.settings.price.batch});
  auto spawned = spawn_batch(session->system(), std::move(providers), options);
  if (auto* problem = std::get_if<failure>(&spawned)) {
    complain(to_string(*problem));
    return exit_usage;
  }
  auto coordinator = std::get<batch_coordinator_actor>(std::move(spawned));
  auto viewer = session->system().spawn(observer, &progress);
  tell_from_outside(coordinator, observe_atom_v, viewer);
  session->system().spawn([&](caf::event_based_actor* self) {
    auto finish = [&](std::variant<batch_report, failure> outcome) {
      std::lock_guard guard{progress.mutex};
      progress.outcome = std::move(outcome);
      waiter.wake();
    };
    ask(self, coordinator, run_atom_v)
      .then([finish](const batch_report& report) { finish(report); },
            [finish](const caf::error& error) { finish(failure_of(error)); });
  });

  progress_display display{cancel_jobs ? std::nullopt : count_items(x.input), x.quiet};
  auto told_resumed = x.quiet;
  auto ask_at = std::chrono::steady_clock::now() + status_interval;
  for (;;) {
    auto event = waiter.wait(100ms);
    if (event == waiter::event::interrupted) {
      display.clear();
      std::fputs("modelforge: interrupted; writing what is done (again to cut)\n", stderr);
      tell_from_outside(coordinator, cancel_atom_v);
    } else if (event == waiter::event::timeout) {
      auto now = std::chrono::steady_clock::now();
      if (!x.quiet && now >= ask_at) {
        ask_status(*session, progress);
        ask_at = now + status_interval;
      }
      auto newest = progress.read(now);
      if (newest.resumed > 0 && !std::exchange(told_resumed, true))
        std::fprintf(stderr, "resuming: %s items are done already\n", grouped(newest.resumed).c_str());
      auto hindrance = newest.jobs.empty() ? progress.hindrance() : job_text(newest.jobs);
      display.show(newest, hindrance, now);
    } else {
      break;
    }
  }
  display.clear();
  caf::anon_send_exit(viewer, caf::exit_reason::user_shutdown);
  auto& outcome = *progress.outcome;
  if (auto* problem = std::get_if<failure>(&outcome)) {
    complain(to_string(*problem));
    return exit_failed;
  }
  auto& report = std::get<batch_report>(outcome);
  if (report.stopped_by)
    complain(to_string(*report.stopped_by));
  if (!x.quiet) {
    summarize(report);
    explain_rest(report);
  }
  return cancel_jobs && !report.stopped_by ? exit_ok : exit_code(report);
}

std::string when_text(uint64_t seconds) {
  auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&time, &parts));
  return text;
}

} // namespace

int batch(const batch_command_options& x) {
  return run(x, false);
}

int batch_status(const ledger_command_options& x) {
  auto seen = batch::ledger::look(x.ledger);
  if (auto* problem = std::get_if<failure>(&seen)) {
    complain(to_string(*problem));
    return exit_usage;
  }
  auto& is = std::get<batch::ledger_summary>(seen);
  auto done = is.ok + is.failed;
  std::printf("%s of %s done: %s answered, %s failed\n", grouped(done).c_str(),
              is.total ? grouped(*is.total).c_str() : "an unknown number", grouped(is.ok).c_str(),
              grouped(is.failed).c_str());
  batch_share sum;
  sum.usage = is.usage;
  sum.cost = is.cost;
  std::printf("tokens: %s; HTTP attempts: %s\n", tokens_text(sum).c_str(), grouped(is.attempts).c_str());
  std::printf("input: %s\n", is.input.path.c_str());
  for (auto& [nonce, job] : is.jobs) {
    uint64_t items = 0;
    for (auto [first, last] : job.items)
      items += last - first + 1;
    std::printf("job at %s: %s, %s items, begun %s\n", job.provider.c_str(),
                job.id.empty() ? "not known to exist" : job.id.c_str(), grouped(items).c_str(),
                when_text(job.at).c_str());
  }
  return std::fflush(stdout) == 0 ? exit_ok : exit_failed;
}

int batch_cancel(const ledger_command_options& x) {
  constexpr std::string_view ending = ".ledger";
  auto seen = batch::ledger::look(x.ledger);
  if (auto* problem = std::get_if<failure>(&seen)) {
    complain(to_string(*problem));
    return exit_usage;
  }
  auto& is = std::get<batch::ledger_summary>(seen);
  if (!x.ledger.ends_with(ending)) {
    complain("a batch's ledger has a name that ends with .ledger: " + x.ledger);
    return exit_usage;
  }
  if (is.jobs.empty()) {
    std::fprintf(stderr, "the batch has no jobs at a provider; press Ctrl-C where it runs to stop it\n");
    return exit_ok;
  }
  batch_command_options options;
  options.target = x.target;
  if (options.target.provider.empty())
    for (auto& [nonce, job] : is.jobs)
      if (("," + options.target.provider + ",").find("," + job.provider + ",") == std::string::npos)
        options.target.provider += (options.target.provider.empty() ? "" : ",") + job.provider;
  options.input = is.input.path;
  options.output = x.ledger.substr(0, x.ledger.size() - ending.size());
  return run(options, true);
}

} // namespace modelforge::cli
