#include "batch/session.hpp"

#include "batch/changed_input.hpp"
#include "batch/output_check.hpp"
#include "batch/output_file.hpp"

#include <cstdio>
#include <utility>

namespace modelforge::batch {

namespace {

/// Starting over forgets jobs that are under way, and what they cost: that is asked about.
std::optional<failure> check_forgotten_jobs(session& to, const batch_options& options, const std::string& path) {
  auto old = ledger::look(path);
  auto* summary = std::get_if<ledger_summary>(&old);
  if (summary == nullptr || summary->jobs.empty())
    return {};
  std::string named;
  for (auto& [nonce, job] : summary->jobs) {
    auto name = job.provider + " (" + (job.id.empty() ? "its id is not known" : job.id) + ')';
    named += (named.empty() ? "" : ", ") + name;
    to.warnings.push_back("a job of an earlier run is forgotten, and may go on at " + name);
  }
  if (options.accept_changes)
    return {};
  return make_failure(errc::invalid_request, "--fresh would forget what is under way at " + named,
                      "run it without --fresh to fetch the results, or cancel it first with `modelforge batch cancel "
                        + path + "`; --accept-changes forgets it, and what it costs");
}

/// Results of earlier runs that are kept, and were made with others than this one.
struct other_results {
  uint64_t count = 0;
  std::string what_differs; ///< For people; with their numbers where there are several kinds.
};

other_results find_others(const ledger_summary& known, const batch_options& options) {
  other_results others;
  std::vector<std::pair<uint64_t, std::string>> kinds;
  for (auto& share : known.runs.shares()) {
    auto kept = share.ok + (options.retry_failed ? 0 : share.failed);
    auto changes = differences(share.made_with, options.made_with);
    if (kept == 0 || changes.empty())
      continue;
    others.count += kept;
    kinds.emplace_back(kept, std::move(changes));
  }
  for (auto& [count, changes] : kinds)
    others.what_differs += (others.what_differs.empty() ? "" : ", and ")
                           + (kinds.size() > 1 ? std::to_string(count) + " with " : "") + changes;
  return others;
}

/// Why results of an earlier run are not to be gone on with, since they were made with others and nobody said so. Once
/// that is said it is told at every run: the output holds them all.
std::optional<failure> check_terms(session& to, const batch_options& options, const std::string& path) {
  auto& known = to.ledger->summary();
  auto others = find_others(known, options);
  auto since = differences(known.made_with, options.made_with);
  if (others.count == 0 && !known.jobs.empty()) // what the jobs bring will be
    others.what_differs = since;
  if (!since.empty() && !others.what_differs.empty() && !options.accept_changes)
    return make_failure(errc::invalid_request,
                        "the results in " + path + " were made with others: " + others.what_differs,
                        "go on with --accept-changes, start over with --fresh, or write to another output");
  if (others.count > 0)
    to.warnings.push_back(std::to_string(others.count)
                          + (others.count == 1 ? " result of an earlier run was" : " results of earlier runs were")
                          + " made with others: " + others.what_differs);
  return {};
}

/// Has the ledger belong to this run, with its input as it is now. What is refused is so before anything is written.
std::optional<failure> take_up(session& to, const ledger_input& input, const batch_options& options,
                               const std::string& path) {
  auto problem = options.cancel_jobs ? std::nullopt : check_terms(to, options, path);
  if (!problem)
    problem = go_on_with(*to.ledger, input, options, to.warnings);
  if (!problem && !options.cancel_jobs && !options.made_with.empty()
      && options.made_with != to.ledger->summary().made_with)
    problem = to.ledger->note(run_begun{options.made_with});
  return problem ? problem : to.ledger->sync();
}

/// Opens the ledger of a batch from file to file; nothing for any other.
std::optional<failure> open_ledger(session& to, const batch_options& options) {
  if (!to.input.is_file() || !is_written_as_part(options.output)) {
    if (options.mode == batch_mode::provider)
      return make_failure(errc::invalid_request,
                          "a provider's batch API needs files for input and output, since its jobs outlive a run",
                          "write to a file, or use the mode live");
    return {};
  }
  auto path = ledger_path(options.output);
  auto content = read_ledger_input(options.input);
  if (auto* problem = std::get_if<failure>(&content))
    return std::move(*problem);
  if (options.fresh)
    if (auto refused = check_forgotten_jobs(to, options, path))
      return refused;
  auto file = open_ledger_file(path);
  if (auto* problem = std::get_if<failure>(&file))
    return std::move(*problem);
  auto opened = ledger::open(std::move(std::get<0>(file)), path, std::get<0>(content), options.fresh, true);
  if (auto* problem = std::get_if<failure>(&opened))
    return std::move(*problem);
  to.ledger = std::move(std::get<0>(opened));
  return take_up(to, std::get<0>(content), options, path);
}

} // namespace

std::string ledger_path(const std::string& output) {
  return output + std::string{ledger_ending};
}

std::variant<session, failure> open_session(const batch_options& options) {
  auto unfit = refuse_same_file(options.input, options.output);
  if (!unfit)
    unfit = refuse_foreign_file(options.output);
  if (unfit)
    return std::move(*unfit);
  auto source = input::open(options.input);
  if (auto* problem = std::get_if<failure>(&source))
    return std::move(*problem);
  session x{std::move(std::get<input>(source)), {}, {}, {}};
  if (auto problem = open_ledger(x, options))
    return std::move(*problem);
  auto sink = open_sink(options.output, options.fresh || (x.ledger && !x.ledger->is_new()));
  if (auto* problem = std::get_if<failure>(&sink)) {
    if (x.ledger && x.ledger->is_new())
      std::remove(ledger_path(options.output).c_str());
    return std::move(*problem);
  }
  x.sink = std::move(std::get<0>(sink));
  return x;
}

} // namespace modelforge::batch
