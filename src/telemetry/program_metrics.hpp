#pragma once

#include "telemetry/exposition.hpp"
#include "telemetry/process_figures.hpp"
#include "telemetry/program_status.hpp"

namespace modelforge::telemetry {

/// Of the configured peers and of the providers so many are written; those beyond are counted (`series_left_out`).
inline constexpr std::size_t max_series = 1'000;

/// Writes what is found out at each scrape; what is not known is left out. Nothing that others name becomes a label.
void write_metrics(exposition& out, const program_status& program, const process_figures& process);

} // namespace modelforge::telemetry
