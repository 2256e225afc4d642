#include "wire/times.hpp"

#include "base/ascii.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>

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

/// The longest date that there is: a weekday and a month in full, an offset.
constexpr std::size_t longest_date = 48;

/// Gathers the parts of a date, whatever their order.
class date_parts {
public:
  /// False where the word is no part of a date, or a second one of its kind.
  bool take(std::string_view word) {
    if (word.find(':') != word.npos)
      return take_time(word);
    if (is_digit(word.front()))
      return take_number(word);
    if (word.front() == '+' || word.front() == '-')
      return take_offset(word);
    return take_name(word);
  }

  std::optional<sys_seconds> time() const {
    auto local = time_of(year_, month_, day_, hour_, minute_, second_);
    return local ? std::optional{*local - offset_} : std::nullopt;
  }

private:
  bool take_time(std::string_view word) {
    if (hour_ || !has_shape(word, "08:49:37", std::to_array<std::size_t>({2, 5})))
      return false;
    hour_ = digits(word, 0, 2);
    minute_ = digits(word, 3, 2);
    second_ = digits(word, 6, 2);
    return true;
  }

  /// The day stands before the year. A year of two digits is one from 1970 on.
  bool take_number(std::string_view word) {
    auto number = digits(word, 0, word.size());
    if (!number || word.size() > 4 || year_)
      return false;
    if (!day_ && word.size() <= 2)
      day_ = number;
    else
      year_ = word.size() == 4 ? *number : *number + (*number < 70 ? 2000 : 1900);
    return word.size() != 3;
  }

  bool take_offset(std::string_view word) {
    auto h = word.size() == 5 ? digits(word, 1, 2) : std::nullopt;
    auto min = word.size() == 5 ? digits(word, 3, 2) : std::nullopt;
    if (!h || !min || *h > 23 || *min > 59)
      return false;
    offset_ = (word[0] == '-' ? -1 : 1) * (hours{*h} + minutes{*min});
    return true;
  }

  bool take_name(std::string_view word) {
    constexpr std::array<std::string_view, 12> months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    constexpr std::array<std::string_view, 7> days = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
    auto short_name = word.substr(0, 3);
    if (auto found = std::find(months.begin(), months.end(), short_name); found != months.end() && !month_) {
      month_ = static_cast<int>(found - months.begin()) + 1;
      return true;
    }
    if (std::find(days.begin(), days.end(), short_name) != days.end())
      return word.size() == 3 || word.ends_with("day");
    return word == "GMT" || word == "UTC" || word == "UT" || word == "Z";
  }

  std::optional<int> year_, month_, day_, hour_, minute_, second_;
  minutes offset_{0};
};

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

/// Words for Go's units; a day has none there.
struct unit_word {
  std::string_view word, unit;
};

constexpr auto unit_words = std::to_array<unit_word>({
  {"ms", "ms"},           {"msec", "ms"},    {"msecs", "ms"}, {"millis", "ms"}, {"millisecond", "ms"},
  {"milliseconds", "ms"}, {"s", "s"},        {"sec", "s"},    {"secs", "s"},    {"second", "s"},
  {"seconds", "s"},       {"m", "m"},        {"min", "m"},    {"mins", "m"},    {"minute", "m"},
  {"minutes", "m"},       {"h", "h"},        {"hr", "h"},     {"hrs", "h"},     {"hour", "h"},
  {"hours", "h"},         {"d", "d"},        {"day", "d"},    {"days", "d"},    {"us", "us"},
  {"\u00B5s", "us"},      {"\u03BCs", "us"}, {"ns", "ns"},
});

/// Takes one decimal with its unit, in words or not, from the front.
std::optional<nanoseconds> take_spoken_part(std::string_view& text) {
  auto number = text.substr(0, text.find_first_not_of("0123456789."));
  text = ascii::trim_front(text.substr(number.size()));
  auto word = text.substr(0, text.find_first_of("0123456789. "));
  text = ascii::trim_front(text.substr(word.size()));
  auto found =
    std::find_if(unit_words.begin(), unit_words.end(), [&](auto& x) { return ascii::iequals(x.word, word); });
  if (found == unit_words.end())
    return {};
  auto is_day = found->unit == "d";
  auto part = read_duration(std::string{number}.append(is_day ? "h" : found->unit));
  if (is_day && part && *part > longest_wait / 24)
    return {};
  return part && is_day ? *part * 24 : part;
}

/// Reads a duration as ISO 8601 has it, behind its P. Years, months and weeks are no waits.
std::optional<nanoseconds> read_iso_duration(std::string_view text) {
  auto clock = std::min(text.find_first_of("Tt"), text.size());
  auto days = text.substr(0, clock), rest = text.substr(std::min(clock + 1, text.size()));
  if (!days.empty() && days.back() != 'D' && days.back() != 'd')
    return {};
  auto first = days.empty() ? nanoseconds{0} : read_spoken_duration(days);
  auto second = rest.empty() ? nanoseconds{0} : read_spoken_duration(rest);
  if (!first || !second || (days.empty() && rest.empty()) || *first + *second > longest_wait)
    return {};
  return *first + *second;
}

/// The sum of all parts, up to the longest wait; nothing below zero.
template <class Take>
std::optional<nanoseconds> sum_of_parts(std::string_view text, Take take) {
  auto negative = text.starts_with('-');
  text.remove_prefix(negative ? 1 : 0);
  if (text.empty())
    return {};
  nanoseconds sum{0};
  while (!text.empty()) {
    auto part = take(text);
    if (!part || sum + *part > longest_wait)
      return {};
    sum += *part;
  }
  return negative ? nanoseconds{0} : sum;
}

} // namespace

std::optional<sys_seconds> read_http_date(std::string_view text) {
  if (text.size() > longest_date)
    return {};
  date_parts parts;
  while (!text.empty()) {
    auto separates = [](char c) { return c == ' ' || c == ','; };
    if (separates(text.front())) {
      text.remove_prefix(1);
      continue;
    }
    // a dash parts day, month and year; in front of digits behind a space it is an offset's sign
    auto end = std::min(text.find_first_of(" ,-", 1), text.size());
    if (!parts.take(text.substr(0, end)))
      return {};
    text.remove_prefix(end);
    if (text.starts_with('-'))
      text.remove_prefix(1);
  }
  return parts.time();
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
  return sum_of_parts(text, take_part);
}

std::optional<nanoseconds> read_spoken_duration(std::string_view text) {
  text = ascii::trim(text);
  if (text.starts_with('P') || text.starts_with('p'))
    return read_iso_duration(text.substr(1));
  if (has_shape(text, "00:00:01", std::to_array<std::size_t>({2, 5}))) {
    auto h = digits(text, 0, 2), min = digits(text, 3, 2), s = digits(text, 6, 2);
    return h && min && s ? std::optional<nanoseconds>{hours{*h} + minutes{*min} + seconds{*s}} : std::nullopt;
  }
  return sum_of_parts(text, take_spoken_part);
}

// The longest part behind such words that is a duration: more words may follow it, or the end of a sentence.
std::optional<nanoseconds> find_wait(std::string_view words) {
  static constexpr auto phrases =
    std::to_array<std::string_view>({"try again in ", "try again after ", "retry in ", "retry after ", "please wait "});
  constexpr std::size_t longest = 40;
  for (auto phrase : phrases) {
    auto at = std::search(words.begin(), words.end(), phrase.begin(), phrase.end(), ascii::same_letter);
    auto rest = words.substr(static_cast<std::size_t>(at - words.begin()));
    rest = rest.substr(std::min(rest.size(), phrase.size()), longest);
    for (; !rest.empty(); rest.remove_suffix(1))
      if (auto wait = ascii::is_letter(rest.back()) ? read_spoken_duration(rest) : std::nullopt)
        return wait;
  }
  return {};
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
