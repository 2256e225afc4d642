#include "wire/retry_after.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace modelforge::wire {

namespace {

constexpr double longest_wait = 366.0 * 24 * 3600; // seconds

std::optional<std::chrono::nanoseconds> wait_of(double seconds) {
  if (!std::isfinite(seconds) || seconds > longest_wait)
    return {};
  return std::chrono::ceil<std::chrono::nanoseconds>(std::chrono::duration<double>{std::max(seconds, 0.0)});
}

template <class Number>
std::optional<Number> read_number(std::string_view text) {
  Number x{};
  auto* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data(), end, x);
  if (error != std::errc{} || stop != end)
    return {};
  return x;
}

/// Reads `text` as digits from `first` on; the caller has checked the length.
std::optional<int> digits(std::string_view text, std::size_t first, std::size_t count) {
  auto part = text.substr(first, count);
  if (!std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return {};
  return read_number<int>(part);
}

} // namespace

std::optional<std::chrono::sys_seconds> read_http_date(std::string_view text) {
  using namespace std::chrono;
  constexpr std::array<std::string_view, 12> months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  constexpr std::string_view shape = "Sun, 06 Nov 1994 08:49:37 GMT";
  if (text.size() != shape.size())
    return {};
  for (std::size_t i : {3, 4, 7, 11, 16, 19, 22, 25, 26, 27, 28})
    if (text[i] != shape[i])
      return {};
  auto month_name = std::find(months.begin(), months.end(), text.substr(8, 3));
  auto day_number = digits(text, 5, 2);
  auto year_number = digits(text, 12, 4);
  auto hour = digits(text, 17, 2);
  auto minute = digits(text, 20, 2);
  auto second = digits(text, 23, 2);
  if (month_name == months.end() || !day_number || !year_number || !hour || !minute || !second)
    return {};
  auto date = year{*year_number} / month{static_cast<unsigned>(month_name - months.begin()) + 1}
              / day{static_cast<unsigned>(*day_number)};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) // 60: a leap second
    return {};
  return sys_days{date} + hours{*hour} + minutes{*minute} + seconds{*second};
}

std::optional<std::chrono::nanoseconds> retry_after(const http::response_head& head,
                                                    std::chrono::system_clock::time_point now) {
  if (auto milliseconds = read_number<double>(head.get("retry-after-ms")))
    if (auto wait = wait_of(*milliseconds / 1000))
      return wait;
  auto text = head.get("retry-after");
  if (auto seconds = read_number<double>(text))
    return wait_of(*seconds);
  auto until = read_http_date(text);
  if (!until)
    return {};
  using seconds = std::chrono::duration<double>; // nanoseconds cannot hold the dates that four digits can
  auto sent = read_http_date(head.get("date"));
  auto from = sent ? seconds{sent->time_since_epoch()} : seconds{now.time_since_epoch()};
  return wait_of((seconds{until->time_since_epoch()} - from).count());
}

} // namespace modelforge::wire
