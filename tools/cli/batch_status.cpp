#include "tools/cli/batch.hpp"
#include "tools/cli/output.hpp"

#include "base/utc_text.hpp"
#include "batch/ledger.hpp"
#include "batch/reader.hpp"

#include <modelforge/actors/batch_coordinator.hpp>

#include <nlohmann/json.hpp>

#include <cstdio>
#include <ctime>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

/// `modelforge batch status`

namespace modelforge::cli {

namespace {

using json = nlohmann::ordered_json;

uint64_t items_of(const batch::ledger_job& job) {
  uint64_t items = 0;
  for (auto [first, last] : job.items)
    items += last - first + 1;
  return items;
}

/// Items of the batch. Until a run has read its input to the end, the input itself tells, as long as it is the same;
/// empty: nothing does.
std::optional<uint64_t> total_of(const batch::ledger_summary& summary) {
  if (summary.total)
    return summary.total;
  batch::input_form form{{}, term_in(summary.made_with, "prompt")};
  from_string(term_in(summary.made_with, "format"), form.format);
  std::error_code problem;
  auto is_file = std::filesystem::is_regular_file(summary.input.path, problem);
  if (!is_file && !std::filesystem::is_directory(summary.input.path, problem))
    return {};
  if (is_file && std::filesystem::file_size(summary.input.path, problem) != summary.input.size)
    return {};
  auto opened = batch::open_source(summary.input.path, form);
  if (!std::holds_alternative<std::unique_ptr<batch::source>>(opened))
    return {};
  for (uint64_t items = 0;; ++items) {
    auto next = std::get<0>(opened)->next();
    if (std::holds_alternative<failure>(next))
      return {};
    if (!std::get<0>(next))
      return items;
  }
}

/// What answers were made with, as far as it says anything; with their numbers where there are several kinds.
void print_shares(const batch::ledger_summary& summary) {
  auto shares = summary.runs.shares();
  if (shares.empty())
    shares.push_back({summary.made_with});
  for (auto& share : shares) {
    std::string terms;
    for (auto& [term, value] : share.made_with)
      if (value != "none" && value != "lines")
        terms += (terms.empty() ? "" : "; ") + term + ": " + value;
    auto count = shares.size() > 1 ? grouped(share.ok + share.failed) + " " : std::string{};
    if (!terms.empty() || !count.empty())
      std::printf("%smade with: %s\n", count.c_str(), terms.empty() ? "not known" : terms.c_str());
  }
}

int print_json(const std::string& path, const batch::ledger_summary& summary, const std::optional<uint64_t>& total) {
  auto or_null = [](const auto& x) { return x ? json(*x) : json(nullptr); };
  json result{{"ledger", path},
              {"input", summary.input.path},
              {"items", or_null(total)},
              {"answered", summary.ok},
              {"failed", summary.failed},
              {"flawed",
               {{"cut", summary.flawed.cut},
                {"blocked", summary.flawed.blocked},
                {"empty", summary.flawed.empty},
                {"unclear", summary.flawed.unclear}}},
              {"attempts", summary.attempts},
              {"input_tokens", summary.usage.input},
              {"output_tokens", summary.usage.output},
              {"cached_tokens", summary.usage.cached_read},
              {"cost", or_null(summary.cost)},
              {"unpriced", summary.unpriced},
              {"made_with", summary.made_with},
              {"jobs", json::array()}};
  for (auto& [nonce, job] : summary.jobs)
    result["jobs"].push_back({{"provider", job.provider},
                              {"id", job.id.empty() ? json(nullptr) : json(job.id)},
                              {"items", items_of(job)},
                              {"begun", job.at}});
  return print(result.dump(2, ' ', false, json::error_handler_t::replace) + "\n") ? exit_ok : exit_failed;
}

} // namespace

std::string term_in(const std::map<std::string, std::string>& made_with, const std::string& name) {
  auto found = made_with.find(name);
  return found == made_with.end() || found->second == "none" ? std::string{} : found->second;
}

namespace {

std::optional<std::string> find_ledger(const std::string& name) {
  std::error_code ignored;
  if (auto ledger = ledger_path(name); std::filesystem::exists(ledger, ignored))
    return ledger;
  constexpr std::string_view ending = ".ledger";
  if (name.ends_with(ending))
    return name;
  complain("there is no batch with the output " + name + ": no " + ledger_path(name));
  std::fputs("name the output of a batch (-o), or its ledger\n", stderr);
  return {};
}

} // namespace

std::optional<found_batch> find_batch(const std::string& name) {
  auto path = find_ledger(name);
  if (!path)
    return {};
  auto seen = batch::ledger::look(*path);
  if (auto* problem = std::get_if<failure>(&seen)) {
    complain(to_string(*problem));
    return {};
  }
  return found_batch{std::move(*path), std::move(std::get<batch::ledger_summary>(seen))};
}

int batch_status(const std::string& name, bool as_json) {
  auto found = find_batch(name);
  if (!found)
    return exit_usage;
  auto& summary = found->summary;
  auto total = total_of(summary);
  if (as_json)
    return print_json(found->ledger, summary, total);
  std::printf("%s of %s done: %s\n", grouped(summary.ok + summary.failed).c_str(),
              total ? grouped(*total).c_str() : "an unknown number",
              counts_text(summary.ok, summary.flawed, summary.failed).c_str());
  batch_share sum;
  sum.usage = summary.usage;
  sum.cost = summary.cost;
  sum.unpriced = summary.unpriced;
  std::printf("tokens: %s; HTTP attempts: %s\n", tokens_text(sum).c_str(), grouped(summary.attempts).c_str());
  std::printf("input: %s\n", summary.input.path.c_str());
  print_shares(summary);
  for (auto& [nonce, job] : summary.jobs)
    std::printf("job at %s: %s, %s items, begun %s\n", job.provider.c_str(),
                job.id.empty() ? "not known to exist" : job.id.c_str(), grouped(items_of(job)).c_str(),
                base::utc_for_people(static_cast<std::time_t>(job.at)).c_str());
  return std::fflush(stdout) == 0 ? exit_ok : exit_failed;
}

} // namespace modelforge::cli
