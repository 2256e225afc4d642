#include "wire/rate_limit_headers.hpp"

#include "wire/times.hpp"

#include <algorithm>
#include <charconv>
#include <string_view>

namespace modelforge::wire {

namespace {

using limits::dimension;
using limits::server_limit;

/// A limit that a provider may tell of: several may share a dimension.
struct subject {
  std::string_view name;
  dimension of;
  bool is_long = false; ///< By its name it is over more than a minute.
  bool is_sure = false; ///< By its name it is over a minute.
};

constexpr auto subjects = std::to_array<subject>({
  {"requests", dimension::requests},
  {"tokens", dimension::tokens},
  {"input-tokens", dimension::input_tokens},
  {"output-tokens", dimension::output_tokens},
  {"project-requests", dimension::requests},
  {"project-tokens", dimension::tokens},
  {"req-minute", dimension::requests, false, true},
  {"requests-minute", dimension::requests, false, true},
  {"tokens-minute", dimension::tokens, false, true},
  {"requests-hour", dimension::requests, true},
  {"tokens-hour", dimension::tokens, true},
  {"requests-day", dimension::requests, true},
  {"tokens-day", dimension::tokens, true},
  {"tokens-month", dimension::tokens, true},
});

enum class field : uint8_t { limit, remaining, reset };

constexpr std::array<std::string_view, 3> field_names = {"limit", "remaining", "reset"};

/// Where a header's value belongs: index in `subjects`, and which of its three figures it is.
struct place {
  std::size_t subject;
  wire::field field;
};

/// Empty for subjects that are not known: a new one must not be taken for another.
std::optional<place> find_place(std::string_view field_name, std::string_view name) {
  auto f = std::find(field_names.begin(), field_names.end(), field_name);
  auto s = std::find_if(subjects.begin(), subjects.end(), [&](auto& x) { return x.name == name; });
  if (f == field_names.end() || s == subjects.end())
    return {};
  return place{static_cast<std::size_t>(s - subjects.begin()), static_cast<field>(f - field_names.begin())};
}

/// Says what a header tells of; its name is in lower case.
std::optional<place> place_of(std::string_view name) {
  constexpr std::string_view most = "x-ratelimit-";
  constexpr std::string_view anthropic = "anthropic-ratelimit-";
  if (name.starts_with(most)) { // x-ratelimit-limit-requests
    name.remove_prefix(most.size());
    auto dash = name.find('-');
    return find_place(name.substr(0, dash), dash == name.npos ? "requests" : name.substr(dash + 1));
  }
  if (name.starts_with(anthropic)) { // anthropic-ratelimit-requests-limit
    name.remove_prefix(anthropic.size());
    auto dash = name.rfind('-');
    if (dash != name.npos)
      return find_place(name.substr(dash + 1), name.substr(0, dash));
  }
  return {};
}

/// Some providers count below zero once a limit is overdrawn: that is nothing left.
std::optional<uint64_t> read_count(std::string_view text) {
  auto negative = text.starts_with('-');
  text.remove_prefix(negative ? 1 : 0);
  uint64_t number = 0;
  auto* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || stop != end)
    return {};
  return negative ? 0 : number;
}

/// When an answer was sent, in seconds since 1970. Of our own clock whole seconds, as a Date header has them.
double sent_at(const http::response_head& head, std::chrono::system_clock::time_point now) {
  auto sent = read_http_date(head.get("date"));
  auto time = sent ? *sent : std::chrono::floor<std::chrono::seconds>(now);
  return static_cast<double>(time.time_since_epoch().count());
}

/// What the headers tell of one subject.
struct told_limit : server_limit {
  bool is_dated = false; ///< Its reset was told as a point in time: it and the Date header are only good to a second.
};

/// Reads a reset in any of its notations; the size of a plain number tells a duration from a Unix time in seconds or
/// milliseconds. `sent`: when the answer was sent, in seconds since 1970.
void read_reset(std::string_view text, double sent, told_limit& told) {
  constexpr double unix_seconds = 1e9; // September 2001; as a duration, 31 years
  constexpr double unix_milliseconds = 1e12;
  auto set_time = [&](double seconds) {
    told.reset = wait_of(seconds - sent);
    told.is_dated = true;
  };
  if (auto number = read_decimal(text)) {
    if (*number >= unix_milliseconds)
      set_time(*number / 1000);
    else if (*number >= unix_seconds)
      set_time(*number);
    else
      told.reset = wait_of(*number);
  } else if (auto time = read_rfc3339(text)) {
    set_time(std::chrono::duration<double>{time->time_since_epoch()}.count());
  } else {
    told.reset = read_duration(text);
  }
}

/// Whether the limit is over more than a minute.
bool is_long(const told_limit& told) {
  constexpr double minute = 60; // seconds
  constexpr double most = 10;   // providers round, and count in steps
  if (!told.limit || !told.remaining || !told.reset)
    return false;
  auto used = static_cast<double>(*told.limit - std::min(*told.remaining, *told.limit));
  auto expected = minute * used / static_cast<double>(*told.limit);
  return std::chrono::duration<double>{*told.reset}.count() > most * expected + (told.is_dated ? 3 : 1);
}

/// Joins two figures of one dimension by `choose`; a missing one gives way.
template <class T, class Choose>
void merge(std::optional<T>& value, const std::optional<T>& other, Choose choose) {
  if (other)
    value = value ? choose(*value, *other) : *other;
}

} // namespace

limits::server_limits limits_in(const http::response_head& head, std::chrono::system_clock::time_point now) {
  std::array<told_limit, subjects.size()> told;
  std::optional<double> sent;
  for (auto& header : head.headers) {
    auto found = place_of(header.name);
    if (!found)
      continue;
    auto& limit = told[found->subject];
    if (found->field == field::reset) {
      if (!sent)
        sent = sent_at(head, now);
      if (!limit.reset)
        read_reset(header.value, *sent, limit);
    } else if (auto& count = found->field == field::limit ? limit.limit : limit.remaining; !count) {
      count = read_count(header.value);
    }
  }
  limits::server_limits result;
  for (std::size_t i = 0; i < told.size(); ++i) {
    auto& limit = told[i];
    if (limit.limit == 0)
      continue;
    if (subjects[i].is_long || (!subjects[i].is_sure && is_long(limit)))
      limit.limit.reset();
    auto& strictest = result[static_cast<std::size_t>(subjects[i].of)];
    merge(strictest.limit, limit.limit, [](auto a, auto b) { return std::min(a, b); });
    merge(strictest.remaining, limit.remaining, [](auto a, auto b) { return std::min(a, b); });
    merge(strictest.reset, limit.reset, [](auto a, auto b) { return std::max(a, b); });
  }
  return result;
}

} // namespace modelforge::wire
