#include "batch/session.hpp"

#include "batch/changed_input.hpp"
#include "batch/folder_source.hpp"
#include "batch/output_check.hpp"
#include "batch/output_file.hpp"

#include <cstdio>
#include <filesystem>
#include <utility>

namespace modelforge::batch {

namespace {

/// What tells an input from others: a file's size and hash, or those of all files of a folder with their names. One
/// that cannot be read is told by its name.
std::variant<ledger_input, failure> read_input(const std::string& path) {
  if (!std::filesystem::is_directory(path))
    return read_ledger_input(path);
  auto names = files_in(path);
  if (auto* problem = std::get_if<failure>(&names))
    return std::move(*problem);
  ledger_input all{0, 0, std::filesystem::absolute(path).string()};
  auto mix = [&](uint64_t x) { all.hash = (all.hash ^ x) * 0x100000001b3 + (all.hash >> 29); };
  for (auto& name : std::get<0>(names)) {
    all.size += name.size() + 1; // more than items, whatever is in them
    for (unsigned char c : name)
      mix(c);
    auto one = read_ledger_input(path + '/' + name);
    auto* content = std::get_if<ledger_input>(&one);
    mix(content != nullptr ? content->hash : 1);
    all.size += content != nullptr ? content->size : 0;
  }
  return all;
}

/// A folder's results must not become its items.
std::optional<failure> refuse_output_inside(const batch_options& options) {
  std::error_code ignored;
  if (options.output.empty() || options.output == "-" || !std::filesystem::is_directory(options.input, ignored))
    return {};
  auto folder = std::filesystem::weakly_canonical(options.input, ignored);
  auto inside = std::filesystem::weakly_canonical(options.output, ignored).lexically_relative(folder);
  if (inside.empty() || *inside.begin() == "..")
    return {};
  return make_failure(errc::io_failed, "the output " + options.output + " is in the input folder " + options.input,
                      "write the results to another folder");
}

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

/// Opens the ledger of a batch from file to file; nothing for any other. `open_file`: how.
std::optional<failure> open_ledger(session& to, const batch_options& options, decltype(&open_ledger_file) open_file) {
  if (!to.input.is_file() || !is_written_as_part(options.output)) {
    if (options.mode == batch_mode::provider)
      return make_failure(errc::invalid_request,
                          "a provider's batch API needs files for input and output, since its jobs outlive a run",
                          "write to a file, or use the mode live");
    return {};
  }
  auto path = ledger_path(options.output);
  auto content = read_input(options.input);
  if (auto* problem = std::get_if<failure>(&content))
    return std::move(*problem);
  if (options.fresh)
    if (auto refused = check_forgotten_jobs(to, options, path))
      return refused;
  auto file = open_file(path);
  if (auto* problem = std::get_if<failure>(&file))
    return std::move(*problem);
  auto opened = ledger::open(std::move(std::get<0>(file)), path, std::get<0>(content), options.fresh, true);
  if (auto* problem = std::get_if<failure>(&opened))
    return std::move(*problem);
  to.ledger = std::move(std::get<0>(opened));
  return take_up(to, std::get<0>(content), options, path);
}

/// A session that has its input alone.
std::variant<session, failure> open_input(const batch_options& options) {
  if (!options.output.empty())
    for (auto& unfit : {refuse_same_file(options.input, options.output), refuse_foreign_file(options.output),
                        refuse_output_inside(options)})
      if (unfit)
        return *unfit;
  auto source = input::open(options.input, form_of(options));
  if (auto* problem = std::get_if<failure>(&source))
    return std::move(*problem);
  return session{std::move(std::get<input>(source)), {}, {}, {}};
}

} // namespace

std::string ledger_path(const std::string& output) {
  return output + std::string{ledger_ending};
}

std::variant<session, failure> preview_session(const batch_options& options) {
  auto opened = open_input(options);
  auto* x = std::get_if<session>(&opened);
  if (x != nullptr && !options.output.empty() && std::filesystem::exists(ledger_path(options.output)))
    if (auto problem = open_ledger(*x, options, preview_ledger_file))
      return std::move(*problem);
  return opened;
}

std::variant<session, failure> open_session(const batch_options& options) {
  auto opened = open_input(options);
  if (std::holds_alternative<failure>(opened))
    return opened;
  auto& x = std::get<session>(opened);
  if (auto problem = open_ledger(x, options, open_ledger_file))
    return std::move(*problem);
  auto sink = open_sink(options.output, options.fresh || (x.ledger && !x.ledger->is_new()));
  if (auto* problem = std::get_if<failure>(&sink)) {
    if (x.ledger && x.ledger->is_new())
      std::remove(ledger_path(options.output).c_str());
    return std::move(*problem);
  }
  x.sink = std::move(std::get<0>(sink));
  return opened;
}

} // namespace modelforge::batch
