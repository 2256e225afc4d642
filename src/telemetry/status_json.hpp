#pragma once

#include <modelforge/messages/status.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The status of a program's providers as JSON: names are stable, new ones may come; times are seconds as numbers.
namespace modelforge::telemetry {

struct program_status {
  int64_t pid = 0;
  std::vector<provider_status> providers;

  friend bool operator==(const program_status&, const program_status&) = default;
};

/// One JSON object: `{"program":"modelforge","pid":123,"providers":[...]}`.
std::string to_json(const program_status& program);

/// One provider's object alone.
std::string to_json(const provider_status& status);

/// Reads what `to_json` wrote; empty if it is something else. What is missing keeps its default.
std::optional<program_status> read_status(std::string_view text);

} // namespace modelforge::telemetry
