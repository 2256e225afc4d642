#include "wire/retry_after.hpp"

#include "base/ascii.hpp"
#include "wire/times.hpp"

namespace modelforge::wire {

// The header in milliseconds is the more exact one and goes first. A date is taken relative to the answer's own Date,
// so that a wrong clock on either side does not matter.
std::optional<std::chrono::nanoseconds> retry_after(const http::response_head& head,
                                                    std::chrono::system_clock::time_point now) {
  if (auto milliseconds = read_decimal(head.get("retry-after-ms")))
    if (auto wait = wait_of(*milliseconds / 1000))
      return wait;
  auto text = head.get("retry-after");
  if (auto seconds = read_decimal(text))
    return wait_of(*seconds);
  auto until = read_http_date(text);
  if (!until)
    return {};
  using seconds = std::chrono::duration<double>; // nanoseconds cannot hold the dates that four digits can
  auto sent = read_http_date(head.get("date"));
  auto from = sent ? seconds{sent->time_since_epoch()} : seconds{now.time_since_epoch()};
  return wait_of((seconds{until->time_since_epoch()} - from).count());
}

std::optional<bool> should_retry(const http::response_head& head) {
  auto text = head.get("x-should-retry");
  if (ascii::iequals(text, "true"))
    return true;
  if (ascii::iequals(text, "false"))
    return false;
  return {};
}

} // namespace modelforge::wire
