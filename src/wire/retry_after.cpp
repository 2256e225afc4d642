#include "wire/retry_after.hpp"

#include "base/ascii.hpp"
#include "wire/times.hpp"

namespace modelforge::wire {

namespace {

using exact_seconds = std::chrono::duration<double>; // nanoseconds cannot hold the dates that four digits can

/// From when a point in time is counted: the answer's own Date, so that a wrong clock on either side does not matter.
exact_seconds counted_from(const http::response_head& head, std::chrono::system_clock::time_point now) {
  auto sent = read_http_date(head.get("date"));
  return sent ? exact_seconds{sent->time_since_epoch()} : exact_seconds{now.time_since_epoch()};
}

/// Drops quotes, a sign in front, the second of two values that a proxy has joined, and parameters behind.
std::string_view bare(std::string_view text) {
  text = ascii::trim(text);
  if (text.size() >= 2 && text.starts_with('"') && text.ends_with('"'))
    text = ascii::trim(text.substr(1, text.size() - 2));
  text.remove_prefix(text.starts_with('+') ? 1 : 0);
  return ascii::trim(text.substr(0, text.find_first_of(",;")));
}

/// Reads a wait in any of its notations. A number too large for a wait is a Unix time, in seconds or milliseconds.
std::optional<std::chrono::nanoseconds> read_wait(std::string_view text, const http::response_head& head,
                                                  std::chrono::system_clock::time_point now) {
  constexpr double unix_seconds = 1e9; // September 2001; as a wait, 31 years
  constexpr double unix_milliseconds = 1e12;
  auto until = [&](exact_seconds time) { return wait_of((time - counted_from(head, now)).count()); };
  auto date = read_http_date(text); // has a comma of its own
  text = bare(text);
  if (date)
    return until(date->time_since_epoch());
  if (auto number = read_decimal(text); number && *number >= unix_seconds && *number < 10 * unix_milliseconds)
    return until(exact_seconds{*number >= unix_milliseconds ? *number / 1000 : *number});
  else if (number)
    return wait_of(*number);
  if (auto time = read_rfc3339(text))
    return until(time->time_since_epoch());
  return read_spoken_duration(text);
}

} // namespace

// The headers in milliseconds are the more exact ones and go first. What a gateway passes on of its own provider comes
// last: its own word counts more.
std::optional<std::chrono::nanoseconds> retry_after(const http::response_head& head,
                                                    std::chrono::system_clock::time_point now) {
  for (std::string_view from : {"", "llm_provider-"}) { // LiteLLM's proxy
    for (std::string_view name : {"retry-after-ms", "x-ms-retry-after-ms"})
      if (auto milliseconds = read_decimal(head.get(std::string{from}.append(name))))
        if (auto wait = wait_of(*milliseconds / 1000))
          return wait;
    if (auto text = head.get(std::string{from}.append("retry-after")); !text.empty())
      if (auto wait = read_wait(text, head, now))
        return wait;
  }
  return {};
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
