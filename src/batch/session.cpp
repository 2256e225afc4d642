#include "batch/session.hpp"

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

/// Has the ledger know what this run is made with. Refused where results of others would be gone on with unasked.
std::optional<failure> note_terms(session& to, const batch_options& options, const std::string& path) {
  auto& known = to.ledger->summary();
  if (options.cancel_jobs || options.made_with.empty() || options.made_with == known.made_with)
    return {};
  auto results = known.ok + (options.retry_failed ? 0 : known.failed);
  auto changes = differences(known.made_with, options.made_with);
  if (!changes.empty() && (results > 0 || !known.jobs.empty())) {
    if (!options.accept_changes)
      return make_failure(errc::invalid_request, "the results in " + path + " were made with others: " + changes,
                          "go on with --accept-changes, start over with --fresh, or write to another output");
    to.warnings.push_back(std::to_string(results) + " results of earlier runs were made with others: " + changes);
  }
  if (auto problem = to.ledger->note_run(options.made_with))
    return problem;
  return to.ledger->sync();
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
  auto opened = ledger::open(std::move(std::get<0>(file)), path, std::move(std::get<0>(content)), options.fresh);
  if (auto* problem = std::get_if<failure>(&opened))
    return std::move(*problem);
  to.ledger = std::move(std::get<0>(opened));
  return note_terms(to, options, path);
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
