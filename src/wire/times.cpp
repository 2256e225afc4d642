#include "wire/times.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>

namespace modelforge::wire {

namespace {

using namespace std::chrono;

/// Nothing longer is believed to be a wait; it also keeps sums and products within 64 bits.
constexpr nanoseconds longest_wait = hours{24 * 366};

/// Reads a whole text as one number; empty where anything is left over, or the number does not fit.
template <class Number>
std::optional<Number> read_number(std::string_view text) {
  Number number{};
  auto* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || stop != end)
    return {};
  return number;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Reads `count` digits from `first` on; the caller has checked the length.
std::optional<int> digits(std::string_view text, std::size_t first, std::size_t count) {
  auto part = text.substr(first, count);
  if (!std::all_of(part.begin(), part.end(), is_digit))
    return {};
  return read_number<int>(part);
}

/// Takes the digits at the front.
std::string_view take_digits(std::string_view& text) {
  auto end = std::find_if_not(text.begin(), text.end(), is_digit);
  auto taken = text.substr(0, static_cast<std::size_t>(end - text.begin()));
  text.remove_prefix(taken.size());
  return taken;
}

/// Puts a point in time together; empty where a part is none of its kind.
std::optional<sys_seconds> time_of(std::optional<int> y, std::optional<int> mon, std::optional<int> d,
                                   std::optional<int> h, std::optional<int> min, std::optional<int> s) {
  if (!y || !mon || !d || !h || !min || !s)
    return {};
  auto date = year{*y} / month{static_cast<unsigned>(*mon)} / day{static_cast<unsigned>(*d)};
  if (!date.ok() || *h > 23 || *min > 59 || *s > 60) // 60: a leap second
    return {};
  return sys_days{date} + hours{*h} + minutes{*min} + seconds{*s};
}

/// Whether the text is as long as `shape` and has its characters at these places.
template <std::size_t N>
bool has_shape(std::string_view text, std::string_view shape, const std::array<std::size_t, N>& places) {
  return text.size() == shape.size()
         && std::all_of(places.begin(), places.end(), [&](auto i) { return text[i] == shape[i]; });
}

/// Reads "Z", "+02:00" or "-02:00".
std::optional<minutes> read_offset(std::string_view text) {
  if (text == "Z" || text == "z")
    return minutes{0};
  if (text.size() != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':')
    return {};
  auto h = digits(text, 1, 2);
  auto min = digits(text, 4, 2);
  if (!h || !min || *h > 23 || *min > 59)
    return {};
  auto offset = hours{*h} + minutes{*min};
  return text[0] == '-' ? -offset : offset;
}

/// A unit of a duration as Go prints it: "1h2m3.5s", "250ms".
struct unit {
  std::string_view name;
  int64_t nanoseconds;
};

/// "ms" stands before "m", which it begins with.
constexpr auto units = std::to_array<unit>({
  {"ns", 1},
  {"us", 1'000},
  {"\u00B5s", 1'000},
  {"\u03BCs", 1'000},
  {"ms", 1'000'000},
  {"s", 1'000'000'000},
  {"m", 60'000'000'000},
  {"h", 3'600'000'000'000},
});

/// Takes one decimal with its unit from the front.
std::optional<nanoseconds> take_part(std::string_view& text) {
  auto whole = take_digits(text);
  std::string_view fraction;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    fraction = take_digits(text);
  }
  if (whole.empty() && fraction.empty())
    return {};
  auto unit = std::find_if(units.begin(), units.end(), [&](auto& x) { return text.starts_with(x.name); });
  if (unit == units.end())
    return {};
  text.remove_prefix(unit->name.size());
  auto number = whole.empty() ? 0 : read_number<int64_t>(whole);
  if (!number || *number > longest_wait.count() / unit->nanoseconds)
    return {};
  auto part = 0.0;
  for (auto i = fraction.rbegin(); i != fraction.rend(); ++i)
    part = (part + (*i - '0')) / 10;
  return nanoseconds{*number * unit->nanoseconds + std::llround(part * static_cast<double>(unit->nanoseconds))};
}

} // namespace

std::optional<sys_seconds> read_http_date(std::string_view text) {
  constexpr std::array<std::string_view, 12> months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  constexpr std::string_view shape = "Sun, 06 Nov 1994 08:49:37 GMT";
  if (!has_shape(text, shape, std::to_array<std::size_t>({3, 4, 7, 11, 16, 19, 22, 25, 26, 27, 28})))
    return {};
  auto name = std::find(months.begin(), months.end(), text.substr(8, 3));
  if (name == months.end())
    return {};
  return time_of(digits(text, 12, 4), static_cast<int>(name - months.begin()) + 1, digits(text, 5, 2),
                 digits(text, 17, 2), digits(text, 20, 2), digits(text, 23, 2));
}

std::optional<sys_milliseconds> read_rfc3339(std::string_view text) {
  constexpr std::string_view shape = "2026-09-01T10:00:07";
  auto head = text.substr(0, shape.size());
  if (!has_shape(head, shape, std::to_array<std::size_t>({4, 7, 13, 16})) || (head[10] != 'T' && head[10] != 't'))
    return {};
  auto time = time_of(digits(head, 0, 4), digits(head, 5, 2), digits(head, 8, 2), digits(head, 11, 2),
                      digits(head, 14, 2), digits(head, 17, 2));
  text.remove_prefix(shape.size());
  int thousandths = 0;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    auto fraction = take_digits(text);
    if (fraction.empty())
      return {};
    for (std::size_t i = 0; i < 3; ++i)
      thousandths = thousandths * 10 + (i < fraction.size() ? fraction[i] - '0' : 0);
  }
  auto offset = read_offset(text);
  if (!time || !offset)
    return {};
  return *time - *offset + milliseconds{thousandths};
}

std::optional<nanoseconds> read_duration(std::string_view text) {
  auto negative = text.starts_with('-');
  text.remove_prefix(negative ? 1 : 0);
  if (text.empty())
    return {};
  nanoseconds sum{0};
  while (!text.empty()) {
    auto part = take_part(text);
    if (!part || sum + *part > longest_wait)
      return {};
    sum += *part;
  }
  return negative ? nanoseconds{0} : sum;
}

std::optional<double> read_decimal(std::string_view text) {
  return read_number<double>(text);
}

// Rounded up: a wait that ends a nanosecond early would be refused again.
std::optional<nanoseconds> wait_of(double seconds) {
  if (!std::isfinite(seconds) || seconds > duration<double>{longest_wait}.count())
    return {};
  return ceil<nanoseconds>(duration<double>{std::max(seconds, 0.0)});
}

} // namespace modelforge::wire
