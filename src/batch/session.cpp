#include "batch/session.hpp"

#include "batch/changed_input.hpp"

#include <cstdio>
#include <map>
#include <utility>

namespace modelforge::batch {

namespace {

/// What is forgotten by starting over, for people.
std::vector<std::string> forgotten_jobs(const std::string& path) {
  std::vector<std::string> warnings;
  auto old = ledger::look(path);
  if (auto* summary = std::get_if<ledger_summary>(&old))
    for (auto& [nonce, job] : summary->jobs)
      warnings.push_back("a job of an earlier run is forgotten, and may go on at " + job.provider + ": "
                         + (job.id.empty() ? "its id is not known" : job.id));
  return warnings;
}

/// What differs between what two runs were made with, for people; empty: nothing. Of what only one of them names it
/// cannot be said: it may be of another version.
std::string differences(const std::map<std::string, std::string>& before,
                        const std::map<std::string, std::string>& now) {
  std::string text;
  for (auto& [name, value] : before)
    if (auto found = now.find(name); found != now.end() && found->second != value)
      text += (text.empty() ? "" : "; ") + name + ": " + value + ", now " + found->second;
  return text;
}

/// Why results of an earlier run are not to be gone on with, since they were made with others and nobody said so.
std::optional<failure> check_terms(session& to, const batch_options& options, const std::string& path) {
  auto& known = to.ledger->summary();
  auto results = known.ok + (options.retry_failed ? 0 : known.failed);
  auto changes = differences(known.made_with, options.made_with);
  if (changes.empty() || (results == 0 && known.jobs.empty()))
    return {};
  if (!options.accept_changes)
    return make_failure(errc::invalid_request, "the results in " + path + " were made with others: " + changes,
                        "go on with --accept-changes, start over with --fresh, or write to another output");
  to.warnings.push_back(std::to_string(results) + " results of earlier runs were made with others: " + changes);
  return {};
}

/// Has the ledger belong to this run, with its input as it is now. What is refused is so before anything is written.
std::optional<failure> take_up(session& to, const ledger_input& input, const batch_options& options,
                               const std::string& path) {
  if (options.cancel_jobs)
    return to.ledger->check(input);
  auto problem = check_terms(to, options, path);
  if (!problem)
    problem = go_on_with(*to.ledger, input, options, to.warnings);
  if (!problem && !options.made_with.empty() && options.made_with != to.ledger->summary().made_with)
    problem = to.ledger->note_run(options.made_with);
  return problem ? problem : to.ledger->sync();
}

/// Opens the ledger of a batch from file to file; nothing for any other.
std::optional<failure> open_ledger(session& to, const batch_options& options) {
  if (!to.input.is_file() || !is_regular_file(options.output)) {
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
    to.warnings = forgotten_jobs(path);
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
  return output + ".ledger";
}

std::variant<session, failure> open_session(const batch_options& options) {
  if (auto problem = refuse_same_file(options.input, options.output))
    return std::move(*problem);
  auto source = input::open(options.input);
  if (auto* problem = std::get_if<failure>(&source))
    return std::move(*problem);
  session x{std::move(std::get<input>(source)), {}, {}, {}};
  if (auto problem = open_ledger(x, options))
    return std::move(*problem);
  auto sink = open_sink(options.output);
  if (auto* problem = std::get_if<failure>(&sink)) {
    if (x.ledger && x.ledger->is_new())
      std::remove(ledger_path(options.output).c_str());
    return std::move(*problem);
  }
  x.sink = std::move(std::get<0>(sink));
  return x;
}

} // namespace modelforge::batch
