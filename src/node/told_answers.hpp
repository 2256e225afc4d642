#pragma once

#include <modelforge/messages/completion.hpp>
#include <modelforge/messages/embedding.hpp>
#include <modelforge/messages/error.hpp>
#include <modelforge/messages/status.hpp>
#include <modelforge/messages/stream.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

/// What another node answers, cut to what is possible before anybody goes by it: one that is wrong, or means harm, can
/// give false figures, and none that loops, sums, waits or places in memory could not bear.

namespace modelforge::node {

/// No time in an answer is longer; none is less than zero.
inline constexpr std::chrono::nanoseconds max_told_time = std::chrono::hours{24 * 366};

/// Nor is a cost above this, in whatever currency.
inline constexpr double max_told_cost = 1e12;

/// Nor are slots of a lane more: the most that `max_concurrent` can be set to.
inline constexpr uint32_t max_told_slots = 100'000;

/// Tokens beyond `max_input_tokens` and `max_output_tokens` are left out, with a warning, and so is a cost that is
/// none; parts of a usage are no more than their whole; times and records of attempts are cut.
void bound(completion& answer);
void bound(embedding& answer);

/// Times and records of attempts are cut.
void bound(failure& problem);
void bound(provider_status& status);

/// Tokens are cut at `max_output_tokens`; see `bound(completion&)` and `bound(failure&)` for the rest.
void bound(stream_chunk& chunk);
void bound(stream_done& done);
void bound(stream_failed& failed);

/// What is wrong with the vectors for so many inputs: their number, or lengths that differ. Empty: nothing.
std::optional<failure> wrong_vectors(const embedding& answer, std::size_t inputs);

} // namespace modelforge::node
