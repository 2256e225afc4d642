#pragma once

#include "telemetry/build.hpp"

#include <modelforge/messages/enums.hpp>
#include <modelforge/messages/status.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// How a running program stands, as /status, /readyz and /metrics tell it.

namespace modelforge::telemetry {

using wall_time = std::chrono::system_clock::time_point;

/// How a provider is for whoever sends it a request now.
enum class provider_state : uint8_t {
  ready,       ///< It takes requests and sends them.
  failing,     ///< No lane is usable: a circuit breaker is open, which waits before it lets one request try.
  key_refused, ///< It refuses every key.
  draining,    ///< It takes nothing new.
  unreachable, ///< Another node runs it, and cannot be asked.
  ended,       ///< Its actor has ended, and is started again.
  unanswered,  ///< Its actor did not tell its status in time.
};

struct provider_report {
  provider_state state = provider_state::ready;
  std::string owner;      ///< The node that runs it; empty: this program.
  provider_status status; ///< Where it has told none, of this only `name`, `kind` and `problem`.

  friend bool operator==(const provider_report&, const provider_report&) = default;
};

/// Other settings that were given to the running program, and not taken.
struct refused_reload {
  wall_time at;
  std::string reason;

  friend bool operator==(const refused_reload&, const refused_reload&) = default;
};

/// The settings in force.
struct settings_report {
  std::string origin;                    ///< Their file, or what a reload called them; empty: a host's at the start.
  wall_time taken_at;                    ///< At the start, or by the last reload that succeeded.
  std::optional<refused_reload> refused; ///< The last one; a later success leaves it.
  bool is_last_refused = false;          ///< Whether the last reload was.

  friend bool operator==(const settings_report&, const settings_report&) = default;
};

/// Another node that uses a provider of this one.
struct guest_report {
  std::string node;
  std::string provider;

  friend bool operator==(const guest_report&, const guest_report&) = default;
};

/// This program among other nodes.
struct node_report {
  node_status status; ///< Where it has not answered, without its links.
  std::vector<guest_report> guests;
  bool is_answered = true;

  friend bool operator==(const node_report&, const node_report&) = default;
};

/// What became of the spans of traces, since the start.
struct span_report {
  uint64_t exported = 0;
  uint64_t failed = 0;
  uint64_t dropped = 0;

  friend bool operator==(const span_report&, const span_report&) = default;
};

struct program_status {
  int64_t pid = 0;
  build_info build{};
  wall_time started_at{};
  std::chrono::nanoseconds uptime{0};
  bool is_answered = true; ///< By the registry; else what follows is not known.
  bool is_draining = false;
  std::optional<settings_report> settings; ///< Empty: a host's providers, which have no registry.
  std::optional<node_report> node;         ///< Empty: it is none.
  std::vector<provider_report> providers;
  std::optional<uint64_t> dropped_events;   ///< Of the log.
  std::optional<uint64_t> dropped_requests; ///< Of the access log.
  std::optional<span_report> spans;         ///< Empty: no traces are exported.
};

} // namespace modelforge::telemetry

template <>
inline constexpr auto modelforge::enum_names<modelforge::telemetry::provider_state> = std::to_array<std::string_view>(
  {"ready", "failing", "key_refused", "draining", "unreachable", "ended", "unanswered"});
