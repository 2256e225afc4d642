#pragma once

#include "tools/cli/commands.hpp"

#include <modelforge/messages/batch.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

/// What the files of `modelforge batch` share.

namespace modelforge::cli {

struct batch_command_options {
  target_options target;
  std::string input;
  std::string output;
  std::optional<uint32_t> max_concurrent; ///< 0: as many as the providers send at a time.
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

/// `modelforge batch --dry-run`: prints what the batch would take. Returns the exit code.
int batch_dry_run(const batch_command_options& options);

/// `modelforge batch status`: prints what the ledger knows. Returns the exit code.
int batch_status(const std::string& path);

/// Prints what a batch came to, on standard error.
void summarize(const batch_report& report);

/// Says how to go on, where there is something left.
void explain_rest(const batch_report& report);

} // namespace modelforge::cli
