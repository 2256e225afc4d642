#include "batch/session.hpp"

#include <cstdio>
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
  return {};
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
