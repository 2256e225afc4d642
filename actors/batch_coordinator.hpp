#pragma once

#include <modelforge/messages/interfaces.hpp>

#include <caf/fwd.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

namespace modelforge {

/// One batch: where its prompts come from, where its results go, and how they are sent.
struct batch_options {
  std::string input;           ///< Path of a JSON lines or text file; "-" is standard input.
  std::string output;          ///< Path; "-" is standard output. Lines are OpenAI batch results, in input order.
  std::string model;           ///< For items that name none; empty: the provider's `default_model`.
  uint32_t max_concurrent = 5; ///< Items in flight, at least 1.
  std::optional<std::chrono::nanoseconds> deadline; ///< Of each item, from its start; empty: none.
};

/// Spawns the coordinator of one batch over one provider actor, with input and output open. A failure (`io_failed`)
/// names the file that could not be opened. (Standard input and pipes are opened later, on a thread of their own, since
/// they may keep their reader waiting; what is wrong with them is told by `batch_report::stopped_by`.)
///
/// It runs on a thread of its own, since it reads and writes files, and ends when the batch has ended. One failing item
/// stops nothing; a result that cannot be written, and a provider that takes nothing more, stop the batch. What was
/// answered until then is kept: in OUTPUT, or in OUTPUT.part where OUTPUT holds an earlier result.
std::variant<batch_coordinator_actor, failure> spawn_batch(caf::actor_system& system, provider_actor provider,
                                                           const batch_options& options);

} // namespace modelforge
