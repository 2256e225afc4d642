#pragma once

#include "batch/ledger.hpp"
#include "tools/cli/commands.hpp"
#include "tools/cli/sampling_options.hpp"

#include <modelforge/messages/batch.hpp>
#include <modelforge/messages/batch_options.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

/// What the files of `modelforge batch` share.

namespace modelforge::cli {

struct batch_command_options {
  target_options target;
  sampling_options how;
  std::string format; ///< Of the input; empty: by `prompt` and the name, else lines.
  std::string prompt; ///< A template, for tables and folders.
  std::string input;
  std::string output;
  std::optional<uint32_t> max_concurrent; ///< Empty or 0: as many as the providers send at a time.
  std::optional<double> timeout;          ///< Seconds, of each item.
  std::string order = "input";
  std::string mode; ///< Empty: `auto` where the first provider has `enable_batch_api`, else `live`.
  std::string after_expiry = "live";
  std::optional<double> deadline; ///< Seconds, of the whole batch.
  std::size_t job_items = 10'000;
  bool fresh = false;
  bool retry_failed = false;
  bool accept_changes = false;
  bool keep_going = false;
  bool dry_run = false;
  bool quiet = false;
};

/// What the command line says of a batch, as the library takes it; without --mode, it is live.
batch_options batch_options_of(const batch_command_options& given);

/// `modelforge batch --dry-run`: prints what the batch would take. Returns the exit code.
int batch_dry_run(const batch_command_options& options);

/// What a ledger says that its results were made with, under that name (`batch_terms`); empty: nothing.
std::string term_in(const std::map<std::string, std::string>& made_with, const std::string& name);

/// A batch that its ledger knows.
struct found_batch {
  std::string ledger; ///< Its path.
  batch::ledger_summary summary;
};

/// Looks a batch up by name: that of an output whose ledger is there, or of a ledger. On failure prints why and returns
/// nothing.
std::optional<found_batch> find_batch(const std::string& name);

/// `modelforge batch status`: prints what the ledger of that name knows. Returns the exit code.
int batch_status(const std::string& name, bool as_json);

/// An amount of money; small ones with more digits, since a hundred short prompts cost less than a cent.
std::string money(double amount);

/// "95 answered, 3 cut, 2 blocked, 0 failed": each item counts once.
std::string counts_text(uint64_t answered, const flaw_counts& flawed, uint64_t failed);

/// "12,345 in (1,000 cached), 678 out; cost: 0.12 (live: 0.24), and unknown for 3 items"
std::string tokens_text(const batch_share& share);

/// Prints what a batch came to, on standard error.
void summarize(const batch_report& report);

/// Says how to go on, where there is something left, and what people should know; `warned`: so many of the report's
/// warnings they know already.
void explain_rest(const batch_report& report, std::size_t warned);

} // namespace modelforge::cli
