#pragma once

#include <modelforge/messages/batch_job.hpp>
#include <modelforge/messages/chat_request.hpp>
#include <modelforge/messages/completion.hpp>
#include <modelforge/messages/error.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

/// What a batch says of itself: progress while it runs, one report at its end.
///
/// A batch is a file of prompts, each of which is an item. Items are sent live, one request each, or in jobs of a
/// provider's batch API (`batch_job.hpp`); what came of each is kept in a ledger, so that a run that was stopped is
/// resumed by the next one. Figures count items of all runs where they say so, and money and time of this run alone.

namespace modelforge {

/// How many of a batch's answers are no good ones, by their `answer_flaw`.
struct flaw_counts {
  uint64_t cut = 0;
  uint64_t blocked = 0;
  uint64_t empty = 0;
  uint64_t unclear = 0;

  uint64_t sum() const { return cut + blocked + empty + unclear; }

  /// Returns the count of that flaw; null for `none`.
  uint64_t* of(answer_flaw flaw) {
    switch (flaw) {
      case answer_flaw::cut:
        return &cut;
      case answer_flaw::blocked:
        return &blocked;
      case answer_flaw::empty:
        return &empty;
      case answer_flaw::unclear:
        return &unclear;
      case answer_flaw::none:
        break;
    }
    return nullptr;
  }

  void add(answer_flaw flaw) {
    if (auto* count = of(flaw))
      ++*count;
  }

  friend bool operator==(const flaw_counts&, const flaw_counts&) = default;
};

/// How a batch stands; sent to its observers, and once more with `finished` set when it has ended. An item counts as
/// answered or failed when its result is safe on disk: what is reported here outlives a crash.
///
/// Observers get it at most every 100 ms, and none is waited for. `answered + failed + in_flight + in_jobs` may be less
/// than `total`: the rest has not been read, or waits to be sent again.
struct batch_progress {
  // Items, of all runs.
  uint64_t answered = 0;         ///< Items with a completion, those of earlier runs included.
  uint64_t failed = 0;           ///< Items with an error, input errors and those of earlier runs included.
  uint64_t resumed = 0;          ///< Of these two, what earlier runs had done.
  uint64_t in_flight = 0;        ///< Items handed to a provider actor and not done yet.
  uint64_t in_jobs = 0;          ///< Items handed to a provider's batch API and not done yet.
  flaw_counts flawed;            ///< Of `answered`.
  std::optional<uint64_t> total; ///< Items in all; empty while the input has not been read to its end.
  // What this run takes.
  /// Sums over the answers of which the provider told its usage; the others count as nothing.
  token_usage usage;                  ///< Of this run.
  std::optional<double> cost;         ///< Of this run; empty without prices.
  std::vector<batch_job_status> jobs; ///< Those that are not over.
  /// Since the run began, pauses of the providers included.
  std::chrono::nanoseconds elapsed{0};
  /// Set in the last message, which comes exactly once.
  bool finished = false;
  uint64_t unpriced = 0;             ///< Items of this run whose cost is not known: `cost` is that of the others.
  std::vector<std::string> warnings; ///< As in `batch_report`: those until now.

  /// Items that ended in this run, a second; 0 before the first one.
  double rate() const {
    auto seconds = std::chrono::duration<double>(elapsed).count();
    return seconds > 0 ? static_cast<double>(answered + failed - std::min(answered + failed, resumed)) / seconds : 0;
  }

  /// How long the rest takes at this rate. Empty while there is no rate, no number of items (`expected` stands in for
  /// a `total` that is not known yet), and while items are in jobs, whose end is the provider's to choose.
  std::optional<std::chrono::nanoseconds> time_left(std::optional<uint64_t> expected = {}) const {
    auto items = total ? total : expected;
    auto ended = answered + failed;
    if (!items || in_jobs > 0 || rate() <= 0)
      return {};
    auto left = std::chrono::duration<double>(static_cast<double>(*items - std::min(*items, ended)) / rate());
    return std::chrono::duration_cast<std::chrono::nanoseconds>(left);
  }

  friend bool operator==(const batch_progress&, const batch_progress&) = default;
};

/// A provider's share of a batch, in this run. One with an empty `provider` has the items that no provider ever saw:
/// lines of the input that no request could be made of.
struct batch_share {
  std::string provider; ///< The configured name.
  uint64_t answered = 0;
  uint64_t failed = 0;
  uint64_t by_jobs = 0;  ///< Of these two, what went through the provider's batch API.
  uint64_t attempts = 0; ///< HTTP exchanges made for items; not those about jobs.
  token_usage usage;
  uint64_t estimated_input = 0;    ///< What `usage.input` was estimated at before anything was sent.
  std::optional<double> cost;      ///< Empty without prices.
  std::optional<double> live_cost; ///< What `cost` would be had nothing gone through the batch API.
  uint64_t unpriced = 0;           ///< As in `batch_progress`.

  friend bool operator==(const batch_share&, const batch_share&) = default;
};

/// What a whole batch came to. An item that failed is no failure of the batch; only what keeps it from going on is
/// (`stopped_by`), and then what is done so far is in the ledger.
struct batch_report {
  uint64_t answered = 0;  ///< As in `batch_progress`.
  uint64_t failed = 0;    ///< As in `batch_progress`.
  uint64_t resumed = 0;   ///< As in `batch_progress`.
  flaw_counts flawed;     ///< As in `batch_progress`.
  uint64_t attempts = 0;  ///< HTTP exchanges made for items in this run.
  bool cancelled = false; ///< Ended before the input did.
  std::chrono::nanoseconds elapsed{0};
  std::vector<batch_share> shares;
  // What people want to know.
  std::optional<failure> stopped_by;    ///< Why it could not go on, e.g. a full disk.
  std::optional<failure> first_failure; ///< Of this run's items, in the order of their ends.
  std::vector<std::string> warnings;    ///< What people should know, e.g. why it did not use the batch API.
  std::string results;                  ///< Where they are: OUTPUT, "standard output"; empty: not written.
  std::string ledger;                   ///< Where a later run finds what is done; empty: it cannot.

  friend bool operator==(const batch_report&, const batch_report&) = default;
};

// What CAF sends: the fields in this order, without names. Whoever changes it raises `wire_version` (node_hello.hpp).
template <class Inspector>
bool inspect(Inspector& f, flaw_counts& x) {
  return f.object(x).fields(f.field("cut", x.cut), f.field("blocked", x.blocked), f.field("empty", x.empty),
                            f.field("unclear", x.unclear));
}

template <class Inspector>
bool inspect(Inspector& f, batch_progress& x) {
  return f.object(x).fields(f.field("answered", x.answered), f.field("failed", x.failed), f.field("resumed", x.resumed),
                            f.field("in_flight", x.in_flight), f.field("in_jobs", x.in_jobs),
                            f.field("flawed", x.flawed), f.field("total", x.total), f.field("usage", x.usage),
                            f.field("cost", x.cost), f.field("jobs", x.jobs), f.field("elapsed", x.elapsed),
                            f.field("finished", x.finished), f.field("unpriced", x.unpriced),
                            f.field("warnings", x.warnings));
}

template <class Inspector>
bool inspect(Inspector& f, batch_share& x) {
  return f.object(x).fields(f.field("provider", x.provider), f.field("answered", x.answered),
                            f.field("failed", x.failed), f.field("by_jobs", x.by_jobs), f.field("attempts", x.attempts),
                            f.field("usage", x.usage), f.field("estimated_input", x.estimated_input),
                            f.field("cost", x.cost), f.field("live_cost", x.live_cost),
                            f.field("unpriced", x.unpriced));
}

template <class Inspector>
bool inspect(Inspector& f, batch_report& x) {
  return f.object(x).fields(f.field("answered", x.answered), f.field("failed", x.failed), f.field("resumed", x.resumed),
                            f.field("flawed", x.flawed), f.field("attempts", x.attempts),
                            f.field("cancelled", x.cancelled), f.field("elapsed", x.elapsed),
                            f.field("shares", x.shares), f.field("stopped_by", x.stopped_by),
                            f.field("first_failure", x.first_failure), f.field("warnings", x.warnings),
                            f.field("results", x.results), f.field("ledger", x.ledger));
}

} // namespace modelforge
