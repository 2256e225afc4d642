#include "wire/retry_after.hpp"

#include "wire/times.hpp"

#include <algorithm>

namespace modelforge::wire {

namespace {

bool is_word(std::string_view text, std::string_view word) {
  auto same = [](char x, char y) { return (x | 0x20) == y; };
  return std::equal(text.begin(), text.end(), word.begin(), word.end(), same);
}

} // namespace

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
  if (is_word(text, "true"))
    return true;
  if (is_word(text, "false"))
    return false;
  return {};
}

} // namespace modelforge::wire
