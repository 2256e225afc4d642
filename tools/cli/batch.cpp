#include "tools/cli/batch.hpp"
#include "tools/cli/batch_terms.hpp"
#include "tools/cli/output.hpp"
#include "tools/cli/progress.hpp"
#include "tools/cli/session.hpp"

#include "actors/support/mail.hpp"
#include "batch/ledger.hpp"
#include "batch/output_file.hpp"

#include <modelforge/actors/batch_coordinator.hpp>

#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <memory>
#include <mutex>
#include <sys/stat.h>
#include <utility>

/// `modelforge batch`: runs a batch of the library, shows how it goes on, and says at its end what it came to and how
/// to go on. Nothing about batches is decided here: the coordinator does, and the ledger remembers.
///
/// The main thread waits for signals and draws the progress; actors bring it the newest figures by `shared_progress`.

namespace modelforge::cli {

using namespace std::chrono_literals;

namespace {

constexpr auto watch_interval = 100ms; // at what has come, and at Ctrl-C
constexpr auto status_interval = 500ms;

constexpr auto batch_examples = R"(Examples:
  modelforge batch prompts.txt -o answers.jsonl --simulate
  modelforge batch requests.jsonl -o answers.jsonl -p openai --max-concurrent 32
  modelforge batch requests.jsonl -o answers.jsonl -p openai=3,azure=1   share it out
  modelforge batch requests.jsonl -o answers.jsonl --mode provider       by the provider's batch API
  modelforge batch texts.csv -o answers.jsonl --format csv --prompt 'Summarise {{text}}'
  modelforge batch status answers.jsonl

INPUT holds one prompt a line, in one of three forms:
  plain text            What is a monad?
  short JSON            {"id": "q1", "prompt": "What is a monad?", "system": "Be brief."}
  OpenAI batch lines    {"custom_id": "q1", "method": "POST", "url": "/v1/chat/completions", "body": {...}}
OUTPUT gets OpenAI batch result lines in the order of the input; a line that fails has an "error" and stops nothing.
Results are kept in OUTPUT.ledger as they come. Whatever stops a batch, the same command goes on with what is missing.)";

/// Counts the items of a file, so that the time left is known from the start; empty where that would take long.
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
  std::chrono::steady_clock::time_point newest_at{}; ///< When it came.
  std::optional<provider_status> provider;           ///< How it was when last asked.
  bool asking = false;
  std::optional<std::variant<batch_report, failure>> outcome;

  /// How the batch stands at `now`: while nothing new comes, time goes on all the same.
  batch_progress read(std::chrono::steady_clock::time_point now) {
    std::lock_guard guard{mutex};
    auto result = newest;
    if (newest_at == std::chrono::steady_clock::time_point{})
      return result;
    auto age = std::max<std::chrono::nanoseconds>(now - newest_at, 0ns);
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
void ask_status(session& session, shared_progress& progress) {
  {
    std::lock_guard guard{progress.mutex};
    if (std::exchange(progress.asking, true))
      return;
  }
  session.system().spawn([&progress, provider = session.provider()](caf::event_based_actor* self) {
    auto take = [&progress](std::optional<provider_status> newest) {
      std::lock_guard guard{progress.mutex};
      progress.provider = std::move(newest);
      progress.asking = false;
    };
    ask(self, provider, status_atom_v)
      .then([take](provider_status& x) { take(std::move(x)); }, [take](const caf::error&) { take({}); });
  });
}

/// Keeps the newest figures for the main thread. It must end before `progress` does.
batch_observer_actor::behavior_type observer(batch_observer_actor::pointer, shared_progress* progress) {
  return {
    [progress](const batch_progress& newest) {
      std::lock_guard guard{progress->mutex};
      progress->newest = newest;
      progress->newest_at = std::chrono::steady_clock::now();
    },
  };
}

/// What stops a batch before anything is sent is wrong arguments, unless it is the disk.
int exit_code(const batch_report& report) {
  if (report.stopped_by) {
    auto& why = *report.stopped_by;
    auto was_sent = report.answered + report.failed > 0 || !why.attempts.empty();
    return was_sent || why.code == errc::io_failed ? exit_failed : exit_usage;
  }
  if (report.cancelled)
    return exit_interrupted;
  return report.failed == 0 ? exit_ok : exit_failed;
}

int refuse_usage(const std::string& problem) {
  complain(problem);
  std::fputs("Try `modelforge batch --help`.\n", stderr);
  return exit_usage;
}

/// Without --mode, the first provider's settings decide.
batch_options options_of(const batch_command_options& given, const provider_settings& first, bool cancel_jobs) {
  auto options = batch_options_of(given);
  options.cancel_jobs = cancel_jobs;
  if (given.mode.empty() && first.optimizations.enable_batch_api)
    options.mode = batch_mode::automatic;
  return options;
}

std::variant<batch_coordinator_actor, failure> spawn(session& session, const batch_options& options) {
  std::vector<batch_provider> providers;
  for (auto& one : session.providers())
    providers.push_back({one.actor, one.weight, one.settings.price.batch});
  return spawn_batch(session.system(), std::move(providers), options, session.log());
}

/// Has the batch run; `progress` gets its outcome, then the main thread is woken.
void start(session& session, const batch_coordinator_actor& coordinator, shared_progress& progress, waiter& waiter) {
  session.system().spawn([&progress, &waiter, coordinator](caf::event_based_actor* self) {
    auto finish = [&progress, &waiter](std::variant<batch_report, failure> outcome) {
      std::lock_guard guard{progress.mutex};
      progress.outcome = std::move(outcome);
      waiter.wake();
    };
    ask(self, coordinator, run_atom_v)
      .then([finish](const batch_report& report) { finish(report); },
            [finish](const caf::error& error) { finish(failure_of(error)); });
  });
}

/// Shows how the batch goes on until it has ended. Ctrl-C has it end early, as does a terminal that is closed; a second
/// Ctrl-C ends the process. Returns how many warnings it has shown.
std::size_t watch(session& session, const batch_coordinator_actor& coordinator, shared_progress& progress,
                  waiter& waiter, progress_display& display, bool quiet) {
  auto resumed_shown = quiet;
  std::size_t warned = 0;
  auto ask_at = std::chrono::steady_clock::now() + status_interval;
  for (auto event = waiter.wait(watch_interval); event != waiter::event::woken; event = waiter.wait(watch_interval)) {
    if (event == waiter::event::interrupted || event == waiter::event::hangup) {
      display.clear();
      std::fputs(event == waiter::event::hangup ? "modelforge: the terminal is gone; writing what is done\n"
                                                : "modelforge: interrupted; writing what is done (again to cut)\n",
                 stderr);
      tell_from_outside(coordinator, cancel_atom_v);
      continue;
    }
    auto now = std::chrono::steady_clock::now();
    if (!quiet && now >= ask_at) {
      ask_status(session, progress);
      ask_at = now + status_interval;
    }
    auto newest = progress.read(now);
    if (newest.resumed > 0 && !std::exchange(resumed_shown, true))
      std::fprintf(stderr, "resuming: %s items are done already\n", grouped(newest.resumed).c_str());
    if (!quiet && warned < newest.warnings.size())
      display.clear();
    for (; !quiet && warned < newest.warnings.size(); ++warned)
      std::fprintf(stderr, "modelforge: warning: %s\n", newest.warnings[warned].c_str());
    auto hindrance = newest.jobs.empty() ? progress.hindrance() : job_text(newest.jobs);
    display.show(newest, hindrance, now);
  }
  display.clear();
  return warned;
}

/// Waits until somebody reads the output, where that is a named pipe: to open it would wait as well, but not for
/// Ctrl-C. `held` keeps the reader until the batch has opened the pipe itself. False: interrupted.
bool wait_for_reader(const std::string& output, waiter& waiter, std::optional<batch::file>& held) {
  auto told = false;
  for (held = batch::open_named_pipe(output); held && held->get() < 0; held = batch::open_named_pipe(output)) {
    if (!std::exchange(told, true))
      std::fprintf(stderr, "modelforge: nobody reads %s yet; waiting for a reader (Ctrl-C ends)\n", output.c_str());
    if (auto event = waiter.wait(watch_interval); event == waiter::event::interrupted || event == waiter::event::hangup)
      return false;
  }
  return true;
}

/// Runs a batch to its end, shows how it goes on and what it came to. `cancel_jobs`: as in `batch_options`.
int run(const batch_command_options& given, bool cancel_jobs) {
  // Whose terminal goes while it runs: what is done is written, as at Ctrl-C.
  waiter waiter{waiter::hangups::reach_wait};
  shared_progress progress; // outlives the actors, which write to it
  auto session = session::start(given.target, false, [&](provider_settings& provider) {
    if (provider.nodes.empty()) // nobody else asks in this process
      provider.interactive_slots = 0;
    if (given.max_concurrent.value_or(0) > 0) // what the command line says counts: so many batch items in flight
      provider.max_concurrent = *given.max_concurrent + provider.interactive_slots;
  });
  if (!session)
    return exit_usage;
  std::optional<batch::file> reader;
  if (!wait_for_reader(given.output, waiter, reader))
    return exit_interrupted;
  session->serve_metrics();
  auto options = options_of(given, session->settings(), cancel_jobs);
  options.made_with = batch_terms(session->providers(), session->runtime(), given);
  auto spawned = spawn(*session, options);
  if (auto* problem = std::get_if<failure>(&spawned)) {
    complain(to_string(*problem));
    return exit_usage;
  }
  auto& coordinator = std::get<batch_coordinator_actor>(spawned);
  auto viewer = session->system().spawn(observer, &progress);
  tell_from_outside(coordinator, observe_atom_v, viewer);
  start(*session, coordinator, progress, waiter);
  auto is_counted = !cancel_jobs && given.prompt.empty() && (given.format.empty() || given.format == "lines");
  progress_display display{is_counted ? count_items(given.input) : std::nullopt, given.quiet};
  auto warned = watch(*session, coordinator, progress, waiter, display, given.quiet);
  caf::anon_send_exit(viewer, caf::exit_reason::user_shutdown);
  if (auto* problem = std::get_if<failure>(&*progress.outcome)) {
    complain(to_string(*problem));
    return exit_failed;
  }
  auto& report = std::get<batch_report>(*progress.outcome);
  if (report.stopped_by)
    complain(to_string(*report.stopped_by));
  if (!given.quiet) {
    if (auto& note = session->choice_note(); !note.empty())
      std::fprintf(stderr, "modelforge: warning: %s\n", note.c_str());
    summarize(report);
    explain_rest(report, warned);
  }
  return cancel_jobs && !report.stopped_by ? exit_ok : exit_code(report);
}

/// What `modelforge batch cancel` does. A batch with jobs is run once more: that finds its jobs, cancels them and keeps
/// what they have done; so the ledger's own providers are needed, in so far as nobody names others.
int batch_cancel(const std::string& name, const target_options& target) {
  constexpr std::string_view ending = ".ledger";
  auto found = find_batch(name);
  if (!found)
    return exit_usage;
  auto& summary = found->summary;
  if (summary.jobs.empty()) {
    std::fprintf(stderr, "the batch has no jobs at a provider; press Ctrl-C where it runs to stop it\n");
    return exit_ok;
  }
  batch_command_options options;
  options.target = target;
  if (options.target.provider.empty())
    for (auto& [nonce, job] : summary.jobs)
      if (("," + options.target.provider + ",").find("," + job.provider + ",") == std::string::npos)
        options.target.provider += (options.target.provider.empty() ? "" : ",") + job.provider;
  options.input = summary.input.path;
  options.format = term_in(summary.made_with, "format");
  options.prompt = term_in(summary.made_with, "prompt");
  options.output = found->ledger.substr(0, found->ledger.size() - ending.size());
  return run(options, true);
}

/// What `modelforge batch` does with these options.
int batch(const batch_command_options& options) {
  if (options.input.empty())
    return refuse_usage("INPUT is required");
  if (options.output.empty() && !options.dry_run)
    return refuse_usage("--output is required");
  if (options.mode == "provider" && options.deadline && *options.deadline < 24 * 3600)
    return refuse_usage("a provider's batch API takes up to a day: give --deadline at least 24h, or let --mode auto or "
                        "live send what must be done sooner");
  if (options.dry_run)
    return batch_dry_run(options);
  return run(options, false);
}

/// Takes a number, or `auto`, which is 0. Returns what is wrong with the text, or "".
std::string set_max_concurrent(const std::string& text, batch_command_options& options) {
  uint32_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text != "auto" && (error != std::errc{} || end != text.data() + text.size() || number < 1 || number > 10'000))
    return text + " is neither a number from 1 to 10000 nor auto";
  options.max_concurrent = number;
  return {};
}

} // namespace

batch_options batch_options_of(const batch_command_options& given) {
  batch_options options;
  options.input = given.input;
  options.output = given.output;
  options.model = given.target.model;
  options.max_concurrent = given.max_concurrent.value_or(0);
  options.deadline = to_deadline(given.timeout);
  options.finish_within = to_deadline(given.deadline);
  options.fresh = given.fresh;
  options.retry_failed = given.retry_failed;
  options.accept_changes = given.accept_changes;
  options.keep_going = given.keep_going;
  options.job_items = given.job_items;
  options.prompt = given.prompt;
  from_string(given.format, options.format);
  chat_request wished;
  given.how.apply(wished);
  options.sampling = wished.sampling;
  options.extra = wished.extra;
  from_string(given.order, options.order);
  from_string(given.after_expiry, options.after_expiry);
  from_string(given.mode, options.mode);
  return options;
}

void add_batch(command_line& line) {
  auto options = std::make_shared<batch_command_options>();
  auto batch = line.add("batch", "Answer a file of prompts");
  add_target(batch, options->target);
  batch.parsed(
    "--max-concurrent",
    [options = options.get()](const std::string& text) { return set_max_concurrent(text, *options); },
    "Items in flight; auto (default): as many as the providers send at a time", "N");
  add_timeout(batch, options->timeout, "Give up an item after so many seconds; default: never");
  add_sampling(batch, options->how);
  batch.choice("--format", options->format, "What INPUT is: lines, csv, tsv or folder (of texts)",
               {"lines", "csv", "tsv", "folder"});
  batch.text("--prompt", options->prompt, "What to ask of each row or file, e.g. 'Summarise {{text}}'", "TEXT");
  batch.choice("--order", options->order, "input (default), or arrival: as results come", {"input", "arrival"});
  batch.choice("--mode", options->mode, "live, provider (its batch API), or auto: by --deadline and price",
               {"live", "provider", "auto"});
  batch.time("--deadline", options->deadline,
             "Fail live items that have no answer by then, e.g. 2h; auto uses a batch API only if it has its day",
             "TIME");
  batch.choice("--after-expiry", options->after_expiry, "How to send what a batch API did not get to: live or provider",
               {"live", "provider"});
  batch.number("--job-items", options->job_items, "Maximum items in a job of a batch API; default 10000", "N",
               std::size_t{1}, std::size_t{100'000});
  batch.flag("--fresh", options->fresh, "Start over, and forget what an earlier run has done");
  batch.flag("--retry-failed", options->retry_failed, "Send what failed in an earlier run again, too");
  batch.flag("--accept-changes", options->accept_changes,
             "Go on although answered lines have changed, or what answers were made with");
  batch.flag("--keep-going", options->keep_going, "Go on though all fail alike, say because of the key or the model");
  batch.flag("--dry-run", options->dry_run, "Name bad lines; estimate tokens, cost and time; send nothing");
  batch.flag("-q,--quiet", options->quiet, "Show neither progress nor summary");
  batch.text("INPUT", options->input, "Prompts; - is standard input", "FILE");
  batch.text("-o,--output", options->output, "Results; - is standard output", "FILE");
  batch.allow_command();
  batch.run_by([options] { return cli::batch(*options); });

  struct ledger_options {
    target_options target;
    std::string ledger;
    bool json = false;
  };
  auto given = std::make_shared<ledger_options>();
  auto status = batch.add("status", "Show what a batch has done and what is missing");
  auto cancel = batch.add("cancel", "Cancel a batch's jobs at its providers; keep what is done");
  add_target(cancel, given->target);
  batch.footer(batch_examples); // after these, which show the general one
  for (auto* command : {&status, &cancel})
    command->text("OUTPUT", given->ledger, "The batch's output, or its ledger", "FILE").required();
  status.flag("--json", given->json, "Print JSON");
  status.footer("Examples:\n  modelforge batch status answers.jsonl\n"
                "  modelforge batch status answers.jsonl --json | jq '.items - .answered'");
  cancel.footer("Example:\n  modelforge batch cancel answers.jsonl");
  status.run_by([given] { return batch_status(given->ledger, given->json); });
  cancel.run_by([given] { return batch_cancel(given->ledger, given->target); });
}

} // namespace modelforge::cli
