#include "tools/simulator/times.hpp"

#include <ctime>

namespace modelforge::simulator {

namespace {

/// Writes a time in UTC by a format of strftime.
std::string formatted(int64_t seconds, const char* form) {
  std::time_t time = seconds;
  std::tm parts{};
  gmtime_r(&time, &parts);
  char text[64];
  return {text, std::strftime(text, sizeof(text), form, &parts)};
}

} // namespace

std::string utc_time(int64_t seconds) {
  return formatted(seconds, "%Y-%m-%dT%H:%M:%SZ");
}

std::string http_date(int64_t seconds) {
  return formatted(seconds, "%a, %d %b %Y %H:%M:%S GMT");
}

} // namespace modelforge::simulator
