#include "tools/cli/batch.hpp"
#include "tools/cli/commands.hpp"
#include "tools/cli/output.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <utility>

/// What a batch came to, in words.

namespace modelforge::cli {

namespace {

/// Adds a share to the sum of all. Costs are there only where prices are.
void add(batch_share& sum, const batch_share& share) {
  sum.estimated_input += share.estimated_input;
  sum.usage.input += share.usage.input;
  sum.usage.output += share.usage.output;
  sum.usage.cached_read += share.usage.cached_read;
  sum.by_jobs += share.by_jobs;
  sum.unpriced += share.unpriced;
  if (share.cost)
    sum.cost = sum.cost.value_or(0) + *share.cost;
  if (share.live_cost)
    sum.live_cost = sum.live_cost.value_or(0) + *share.live_cost;
}

} // namespace

std::string money(double amount) {
  char text[32];
  std::snprintf(text, sizeof text, amount < 0.1 ? "%.5f" : "%.2f", amount);
  return text;
}

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

std::string tokens_text(const batch_share& share) {
  auto text = grouped(share.usage.input) + " in";
  if (share.usage.cached_read > 0)
    text += " (" + grouped(share.usage.cached_read) + " cached)";
  if (share.estimated_input > 0)
    text += " (estimated: " + grouped(share.estimated_input) + ")";
  text += ", " + grouped(share.usage.output) + " out";
  if (share.cost)
    text += "; cost: " + money(*share.cost);
  if (share.unpriced > 0)
    text += (share.cost ? ", and unknown for " : "; cost: unknown for ") + grouped(share.unpriced)
            + (share.unpriced == 1 ? " item" : " items");
  if (share.by_jobs > 0 && share.live_cost && *share.live_cost > *share.cost)
    text += " (live: " + money(*share.live_cost) + ")";
  return text;
}

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

void explain_rest(const batch_report& report, std::size_t warned) {
  for (auto i = warned; i < report.warnings.size(); ++i)
    std::fprintf(stderr, "modelforge: warning: %s\n", report.warnings[i].c_str());
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

} // namespace modelforge::cli
