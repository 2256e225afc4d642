#include "tools/cli/output.hpp"
#include "tools/cli/progress.hpp"
#include "tools/cli/session.hpp"

#include "actors/support/mail.hpp"

#include <modelforge/actors/batch_coordinator.hpp>

#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <cstdio>
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
  std::optional<provider_status> provider; ///< How it was when last asked.
  bool asking = false;
  std::optional<std::variant<batch_report, failure>> outcome;

  batch_progress read() {
    std::lock_guard guard{mutex};
    return newest;
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
    },
  };
}

std::string grouped(uint64_t x) {
  auto text = std::to_string(x);
  for (auto i = static_cast<int>(text.size()) - 3; i > 0; i -= 3)
    text.insert(static_cast<std::size_t>(i), ",");
  return text;
}

void summarize(const batch_report& x) {
  auto items = x.answered + x.failed;
  auto seconds = std::max(1e-9, std::chrono::duration<double>(x.elapsed).count());
  std::fprintf(stderr, "%s requests: %s answered, %s failed, in %.1f s (%.1f/s)\n", grouped(items).c_str(),
               grouped(x.answered).c_str(), grouped(x.failed).c_str(), seconds, static_cast<double>(items) / seconds);
  if (x.first_failure)
    std::fprintf(stderr, "the first failure: %s\n", to_string(*x.first_failure).c_str());
  std::fprintf(stderr, "tokens: %s in, %s out; HTTP attempts: %s; results: %s\n", grouped(x.input_tokens).c_str(),
               grouped(x.output_tokens).c_str(), grouped(x.attempts).c_str(), x.results.c_str());
}

int exit_code(const batch_report& x) {
  if (x.stopped_by)
    return x.answered + x.failed == 0 ? exit_usage : exit_failed;
  if (x.cancelled)
    return exit_interrupted;
  return x.failed == 0 ? exit_ok : exit_failed;
}

} // namespace

int batch(const batch_command_options& x) {
  waiter waiter;
  shared_progress progress; // outlives the actors, which write to it
  auto session = session::start(x.target, false, [&](provider_settings& provider) {
    if (x.max_concurrent) // what the command line says counts: so many batch items in flight
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
  auto spawned = spawn_batch(session->system(), session->provider(), options);
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

  progress_display display{count_items(x.input), x.quiet};
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
      display.show(progress.read(), progress.hindrance(), now);
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
  if (!x.quiet)
    summarize(report);
  return exit_code(report);
}

} // namespace modelforge::cli
