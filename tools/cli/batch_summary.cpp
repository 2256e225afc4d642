#include "tools/cli/batch.hpp"
#include "tools/cli/commands.hpp"
#include "tools/cli/output.hpp"

#include "batch/ledger.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <utility>

/// What a batch came to, in words.

namespace modelforge::cli {

namespace {

/// Small amounts with more digits: a batch of a hundred short prompts costs less than a cent.
std::string money(double amount) {
  char text[32];
  std::snprintf(text, sizeof text, amount < 0.1 ? "%.5f" : "%.2f", amount);
  return text;
}

/// "95 answered, 3 cut, 2 blocked, 0 failed": each item counts once.
std::string counts_text(uint64_t answered, const flaw_counts& flawed, uint64_t failed) {
  auto text = grouped(answered - std::min(answered, flawed.sum())) + " answered, ";
  for (auto [count, name] : {std::pair{flawed.cut, "cut"},
                             {flawed.blocked, "blocked"},
                             {flawed.empty, "empty"},
                             {flawed.unclear, "unclear"}})
    if (count > 0)
      text += grouped(count) + " " + name + ", ";
  return text + grouped(failed) + " failed";
}

/// "12,345 in (1,000 cached), 678 out; cost: 0.12 (live: 0.24)"
std::string tokens_text(const batch_share& share) {
  auto text = grouped(share.usage.input) + " in";
  if (share.usage.cached_read > 0)
    text += " (" + grouped(share.usage.cached_read) + " cached)";
  if (share.estimated_input > 0)
    text += " (estimated: " + grouped(share.estimated_input) + ")";
  text += ", " + grouped(share.usage.output) + " out";
  if (share.cost)
    text += "; cost: " + money(*share.cost);
  if (share.by_jobs > 0 && share.live_cost && *share.live_cost > *share.cost)
    text += " (live: " + money(*share.live_cost) + ")";
  return text;
}

/// Adds a share to the sum of all. Costs are there only where prices are.
void add(batch_share& sum, const batch_share& share) {
  sum.estimated_input += share.estimated_input;
  sum.usage.input += share.usage.input;
  sum.usage.output += share.usage.output;
  sum.usage.cached_read += share.usage.cached_read;
  sum.by_jobs += share.by_jobs;
  if (share.cost)
    sum.cost = sum.cost.value_or(0) + *share.cost;
  if (share.live_cost)
    sum.live_cost = sum.live_cost.value_or(0) + *share.live_cost;
}

std::string when_text(uint64_t seconds) {
  auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&time, &parts));
  return text;
}

} // namespace

// The rate is that of this run: what earlier runs have done took it no time.
void summarize(const batch_report& report) {
  auto items = report.answered + report.failed;
  auto done = items - std::min(items, report.resumed);
  auto seconds = std::max(1e-9, std::chrono::duration<double>(report.elapsed).count());
  std::fprintf(stderr, "%s requests: %s, in %.1f s (%.1f/s)", grouped(items).c_str(),
               counts_text(report.answered, report.flawed, report.failed).c_str(), seconds,
               static_cast<double>(done) / seconds);
  std::fputs(report.resumed > 0 ? ("; " + grouped(report.resumed) + " of them earlier\n").c_str() : "\n", stderr);
  if (report.first_failure)
    std::fprintf(stderr, "the first failure: %s\n", to_string(*report.first_failure).c_str());
  batch_share sum;
  for (auto& share : report.shares)
    add(sum, share);
  if (report.shares.size() > 1)
    for (auto& share : report.shares)
      if (!share.provider.empty())
        std::fprintf(stderr, "%s: %s answered, %s failed; tokens: %s\n", share.provider.c_str(),
                     grouped(share.answered).c_str(), grouped(share.failed).c_str(), tokens_text(share).c_str());
  std::fprintf(stderr, "tokens: %s; HTTP attempts: %s; results: %s\n", tokens_text(sum).c_str(),
               grouped(report.attempts).c_str(), report.results.empty() ? "none" : report.results.c_str());
}

void explain_rest(const batch_report& report) {
  for (auto& warning : report.warnings)
    std::fprintf(stderr, "modelforge: warning: %s\n", warning.c_str());
  if (report.flawed.sum() > 0)
    std::fputs("answers that are cut, blocked, empty or unclear say so in their lines, as \"flaw\"\n", stderr);
  auto unfinished = report.cancelled || report.stopped_by;
  if (unfinished && !report.ledger.empty())
    std::fprintf(stderr, "what is done is kept in %s; run the same command again to go on\n", report.ledger.c_str());
  else if (report.resumed > 0 && report.resumed == report.answered + report.failed)
    std::fputs("nothing was left to do; --fresh starts over\n", stderr);
  uint64_t unreadable = 0; // the lines of which no request could be made reach no provider
  for (auto& share : report.shares)
    unreadable += share.provider.empty() ? share.failed : 0;
  if (unreadable > 0 && !report.ledger.empty())
    std::fprintf(stderr, "%s that cannot be read: correct what is wrong there, and the same command sends %s\n",
                 unreadable == 1 ? "there is a line" : ("there are " + grouped(unreadable) + " lines").c_str(),
                 unreadable == 1 ? "it" : "them");
  if (!unfinished && report.failed > unreadable && !report.ledger.empty())
    std::fputs("run it again with --retry-failed to send what failed once more\n", stderr);
}

int batch_status(const std::string& path) {
  auto seen = batch::ledger::look(path);
  if (auto* problem = std::get_if<failure>(&seen)) {
    complain(to_string(*problem));
    return exit_usage;
  }
  auto& summary = std::get<batch::ledger_summary>(seen);
  auto done = summary.ok + summary.failed;
  std::printf("%s of %s done: %s\n", grouped(done).c_str(),
              summary.total ? grouped(*summary.total).c_str() : "an unknown number",
              counts_text(summary.ok, summary.flawed, summary.failed).c_str());
  batch_share sum;
  sum.usage = summary.usage;
  sum.cost = summary.cost;
  std::printf("tokens: %s; HTTP attempts: %s\n", tokens_text(sum).c_str(), grouped(summary.attempts).c_str());
  std::printf("input: %s\n", summary.input.path.c_str());
  auto shares = summary.runs.shares();
  if (shares.empty())
    shares.push_back({summary.made_with});
  for (auto& share : shares) {
    std::string terms;
    for (auto& [name, value] : share.made_with)
      terms += (terms.empty() ? "" : "; ") + name + ": " + value;
    auto count = shares.size() > 1 ? grouped(share.ok + share.failed) + " " : std::string{};
    if (!terms.empty() || !count.empty())
      std::printf("%smade with: %s\n", count.c_str(), terms.empty() ? "not known" : terms.c_str());
  }
  for (auto& [nonce, job] : summary.jobs) {
    uint64_t items = 0;
    for (auto [first, last] : job.items)
      items += last - first + 1;
    std::printf("job at %s: %s, %s items, begun %s\n", job.provider.c_str(),
                job.id.empty() ? "not known to exist" : job.id.c_str(), grouped(items).c_str(),
                when_text(job.at).c_str());
  }
  return std::fflush(stdout) == 0 ? exit_ok : exit_failed;
}

} // namespace modelforge::cli
