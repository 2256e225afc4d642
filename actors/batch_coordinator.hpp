#pragma once

#include <modelforge/log/start_log.hpp>
#include <modelforge/messages/batch_options.hpp>
#include <modelforge/messages/interfaces.hpp>

#include <caf/fwd.hpp>

#include <string>
#include <variant>
#include <vector>

namespace modelforge {

/// One of a batch's providers.
struct batch_provider {
  provider_actor actor;
  double weight = 0; ///< Its share beside the others'; 0 for all: who answers soonest gets most.
  /// What an item costs in its batch API, beside a live one: for `batch_share::live_cost`, and where the mode is
  /// automatic, a batch API that is not cheaper is not used.
  double job_price = 0.5;
};

/// Spawns the coordinator of one batch over one or more provider actors, with input and output open. A failure
/// (`io_failed`) names the file that could not be opened, or why the ledger cannot be used. (Standard input and pipes
/// are opened later, on a thread of their own, since they may keep their reader waiting; what is wrong with them is
/// told by `batch_report::stopped_by`.)
///
/// Where input and output are files, results are kept in OUTPUT.ledger as they come (docs/batches.md), and OUTPUT is
/// written from it at the end, under its final name only when it is whole. A batch that did not end goes on where it
/// stopped when it is started again. Otherwise results go to the output as they come.
///
/// It runs on a thread of its own, since it reads files, and ends when the batch has ended. One failing item stops
/// nothing; a result that cannot be kept, and a provider that takes nothing more, stop the batch. `log`: where it tells
/// of its beginning, its jobs and its end.
std::variant<batch_coordinator_actor, failure> spawn_batch(caf::actor_system& system,
                                                           std::vector<batch_provider> providers,
                                                           const batch_options& options, log_handle log = {});

/// The same, over one.
std::variant<batch_coordinator_actor, failure> spawn_batch(caf::actor_system& system, provider_actor provider,
                                                           const batch_options& options);

/// Returns where a batch keeps its results until it ends.
std::string ledger_path(const std::string& output);

} // namespace modelforge
