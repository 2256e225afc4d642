#pragma once

#include "telemetry/program_status.hpp"

#include <modelforge/messages/status.hpp>

#include <optional>
#include <string>
#include <string_view>

/// The status of a running program as JSON: names are stable, new ones may come; times are seconds as numbers, points
/// in time RFC 3339. docs/monitoring.md has each member.
namespace modelforge::telemetry {

/// One JSON object on one line.
std::string to_json(const program_status& program);

/// One provider's object alone, as far as its status goes.
std::string to_json(const provider_status& status);

/// Reads the process's number and the providers from what `to_json` wrote; empty if it is something else. What is
/// missing keeps its default.
std::optional<program_status> read_status(std::string_view text);

} // namespace modelforge::telemetry
