#pragma once

#include <chrono>
#include <string>

/// The scenarios of `rate_limits`, by the file that has them. Each prints what it does, what was seen, and whether that
/// is what was promised.

namespace modelforge::bench::rate_limits {

/// How long the scenarios last that use a limit, set by `--seconds`.
inline std::chrono::seconds length{60};

// use.cpp: how much of a limit is used, and by whom
void saturation();
void halved();
void fairness();
void adaptive();

// failures.cpp: what is tried again, and what is told of it
void faults();
void storm();
void retry_after();
void breaker();

// cost.cpp: what a request costs the dispatcher
void queue();

// batches.cpp: batches at a limit
void batch();

/// Kills the program again and again, and starts it again.
void kill_and_restart(const std::string& program);

} // namespace modelforge::bench::rate_limits
