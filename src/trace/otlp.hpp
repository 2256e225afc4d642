#pragma once

#include "http/client.hpp"
#include "log/request_record.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

/// OTLP over HTTP in JSON: what is sent to a collector, and what its answer means.

namespace modelforge::trace {

/// Who sends: the same for all spans of a program.
struct resource {
  std::string service = "modelforge";
  std::string version{};
  std::string instance{}; ///< Unique among all that send.
  std::string node{};     ///< Its name among other nodes; empty: it has none.
};

/// An `ExportTraceServiceRequest` with the spans of all these, each of which has a `trace`.
std::string to_otlp(const resource& from, const std::vector<log::timed_record>& ended);

/// What became of one attempt to send.
struct delivery {
  enum class result : uint8_t { taken, again, refused };

  result what = result::taken;      ///< `again`: may be sent again; `refused`: never.
  uint64_t rejected = 0;            ///< Spans that were not taken though the rest was.
  std::chrono::nanoseconds wait{0}; ///< At least, before it is sent again; by the collector's word.
  std::string reason{};             ///< Where not all was taken: why, for people; texts of others are cut.
};

/// By the specification: 429, 502, 503, 504 and failed connections may be sent again, everything else may not.
delivery judge(const http::response& answer, std::chrono::system_clock::time_point now);

} // namespace modelforge::trace
