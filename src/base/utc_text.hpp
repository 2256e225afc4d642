#pragma once

#include <chrono>
#include <ctime>
#include <string>

namespace modelforge::base {

/// A point in time as RFC 3339 has it, in UTC with milliseconds: "2026-12-01T04:10:55.007Z".
inline std::string utc_text(std::chrono::system_clock::time_point time) {
  auto since = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch());
  auto seconds = std::chrono::floor<std::chrono::seconds>(since);
  auto whole = static_cast<std::time_t>(seconds.count());
  std::tm parts{};
  gmtime_r(&whole, &parts);
  char buffer[80];
  auto size = std::strftime(buffer, sizeof buffer, "%Y-%m-%dT%H:%M:%S", &parts);
  auto fraction = std::to_string((since - seconds).count());
  return std::string{buffer, size} + '.' + std::string(3 - fraction.size(), '0') + fraction + 'Z';
}

} // namespace modelforge::base
