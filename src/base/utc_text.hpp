#pragma once

#include <chrono>
#include <ctime>
#include <string>

namespace modelforge::base {

/// A second in UTC, as strftime has it; `format` gives less than 80 characters.
inline std::string utc_text(std::time_t second, const char* format) {
  std::tm parts{}; // stays so for years that there are none of
  gmtime_r(&second, &parts);
  char buffer[80];
  return {buffer, std::strftime(buffer, sizeof buffer, format, &parts)};
}

/// As RFC 3339 has it, with milliseconds: "2026-12-01T04:10:55.007Z".
inline std::string utc_text(std::chrono::system_clock::time_point time) {
  auto since = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch());
  auto seconds = std::chrono::floor<std::chrono::seconds>(since);
  auto fraction = std::to_string((since - seconds).count());
  return utc_text(static_cast<std::time_t>(seconds.count()), "%Y-%m-%dT%H:%M:%S") + '.'
         + std::string(3 - fraction.size(), '0') + fraction + 'Z';
}

/// The second, as RFC 3339 has it: "2026-12-01T04:10:55Z".
inline std::string utc_second(std::time_t second) {
  return utc_text(second, "%Y-%m-%dT%H:%M:%SZ");
}

/// The second, for people: "2026-12-01 04:10:55 UTC".
inline std::string utc_for_people(std::time_t second) {
  return utc_text(second, "%Y-%m-%d %H:%M:%S UTC");
}

} // namespace modelforge::base
