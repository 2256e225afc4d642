#pragma once

#include "batch/run_shares.hpp"
#include "json/value.hpp"

#include <modelforge/messages/batch.hpp>
#include <modelforge/messages/completion.hpp>
#include <modelforge/messages/error.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

/// What a ledger is told, and how it is written in its lines and read again (docs/batches.md has the format).

namespace modelforge::batch {

/// Items: first and last of each range.
using item_list = std::vector<std::pair<uint64_t, uint64_t>>;

/// What decides whether a ledger belongs to a batch.
struct ledger_input {
  uint64_t size = 0; ///< Bytes.
  uint64_t hash = 0; ///< Of all of them: FNV-1a, 64 bits.
  std::string path;  ///< For people.
};

/// Reads a regular file for its size and hash.
std::variant<ledger_input, failure> read_ledger_input(const std::string& path);

/// The result of one item, as the ledger keeps it.
struct ledger_result {
  uint64_t item = 0; ///< Counts from 0; less than the input's size in bytes.
  bool ok = false;
  uint64_t attempts = 0;
  token_usage usage;
  std::optional<double> cost;
  std::string provider;                 ///< That answered; empty: none.
  std::string line;                     ///< The output's line: a JSON object without the line's end.
  uint32_t input_sum = 0;               ///< Of its line in the input (`item::sum`); 0: not known.
  answer_flaw flaw = answer_flaw::none; ///< Of an answer.
};

/// A job of a provider's batch API that has been begun.
struct ledger_job {
  std::string nonce;
  std::string provider;
  std::string model;
  uint64_t at = 0; ///< When it was meant to be created, seconds since 1970.
  item_list items;
  std::string id;      ///< The provider's; empty: whether it was created is not known.
  uint64_t offset = 0; ///< Where the ledger has its intent; not for those that are noted.
};

/// A job has got an id at its provider.
struct job_named {
  std::string nonce;
  std::string id;
};

/// Nothing more comes of a job.
struct job_ended {
  std::string nonce;
  std::string outcome; ///< For people.
};

/// The input has been read to its end.
struct input_total {
  uint64_t items = 0;
};

/// A run begins that is made with these (`batch_options::made_with`).
struct run_begun {
  run_terms made_with;
};

/// Items in a row that stand elsewhere in a changed input.
struct moved_items {
  uint64_t from = 0;
  uint64_t to = 0;
  uint64_t count = 0;

  friend bool operator==(const moved_items&, const moved_items&) = default;
};

/// The ledger belongs to another input from now on. All of `moved` is taken up at once, as it was before.
struct input_change {
  ledger_input now;
  item_list
    again; ///< Items whose results, if any, are not those of their lines any more; those that `moved` are in it.
  std::vector<moved_items> moved;
};

/// What a ledger is told beside results; a `ledger_job` without an id: it is about to be created.
using ledger_event = std::variant<ledger_job, job_named, job_ended, input_total, run_begun, input_change>;

/// Return the body of a ledger's line; `synced`: what was safe before it.
std::string body_of(const ledger_result& result, uint64_t synced);
std::string body_of(const ledger_event& event, uint64_t synced);

/// Returns what a header says of the input.
ledger_input input_in(const json::value& members);

/// Returns what the members of a result's line say, without its provider and the output's line.
ledger_result result_in(const json::value& members);

/// Returns what the members of a line say; empty for an event that this version does not know, which changes nothing.
std::optional<ledger_event> event_in(const json::value& members);

/// What a ledger holds, but for the results themselves.
struct ledger_summary {
  ledger_input input;
  uint64_t ok = 0;
  uint64_t failed = 0;
  flaw_counts flawed; ///< Of `ok`.
  uint64_t attempts = 0;
  token_usage usage;
  std::optional<double> cost;
  uint64_t unpriced = 0;         ///< Answers whose cost is not known, but for those in whose place others stand.
  std::optional<uint64_t> total; ///< Items of the input, once it has been read to its end.
  std::map<std::string, ledger_job> jobs; ///< Those that have not ended, by nonce.
  std::vector<std::string> ids_of_ended_jobs;
  run_terms made_with; ///< What the last run that said it was made with, by name.
  run_shares runs;     ///< Which results were made with what.

  /// Takes in an event that stands at `offset`, but for what a changed input does to results.
  void take(const ledger_event& event, uint64_t offset);
};

} // namespace modelforge::batch
