#include "telemetry/status_json.hpp"

#include "wire/json.hpp"

#include <algorithm>
#include <cmath>

namespace modelforge::telemetry {

namespace {

using wire::json;
using wire::member;
using nanoseconds = std::chrono::nanoseconds;

double seconds(nanoseconds x) {
  return std::chrono::duration<double>{x}.count();
}

json seconds(const std::optional<nanoseconds>& x) {
  return x ? json(seconds(*x)) : json(nullptr);
}

json percent(const limit_use& x) {
  return x.limit > 0 ? json(100.0 * static_cast<double>(x.used) / static_cast<double>(x.limit)) : json(nullptr);
}

json to_object(const lane_status& x) {
  auto limits = json::array();
  for (auto& y : x.limits)
    limits.push_back({{"of", y.of}, {"limit", y.limit}, {"used", y.used}, {"used_percent", percent(y)}});
  return {{"name", x.name},   {"breaker", x.breaker},       {"breaker_openings", x.breaker_openings},
          {"slots", x.slots}, {"in_flight", x.in_flight},   {"paused_seconds", seconds(x.paused_for)},
          {"out", x.out},     {"limits", std::move(limits)}};
}

/// An object even when there are no members.
json to_object(const std::map<std::string, uint64_t>& x) {
  auto result = json::object();
  for (auto& [name, count] : x)
    result[name] = count;
  return result;
}

json to_object(const provider_status& x) {
  auto lanes = json::array();
  for (auto& y : x.lanes)
    lanes.push_back(to_object(y));
  return {{"name", x.name},
          {"kind", x.kind},
          {"base_url", x.base_url},
          {"max_concurrent", x.max_concurrent},
          {"in_flight", x.in_flight},
          {"queued", {{"interactive", x.queued - x.queued_batch}, {"batch", x.queued_batch}}},
          {"queued_bytes", x.queued_bytes},
          {"retries_waiting", x.waiting},
          {"next_retry_seconds", seconds(x.next_retry)},
          {"predicted_wait_seconds", seconds(x.predicted_wait)},
          {"answered", x.answered},
          {"failed", x.failed},
          {"late", x.late},
          {"attempts", x.attempts},
          {"retries", to_object(x.retries)},
          {"refusals", to_object(x.refusals)},
          {"draining", x.draining},
          {"problem", x.problem},
          {"lanes", std::move(lanes)}};
}

// -- reading ------------------------------------------------------------------------

std::string text_in(const json& x) {
  return std::string{wire::string_in(x)};
}

uint64_t number_in(const json& x) {
  return wire::count_in(x).value_or(0);
}

uint32_t small_number_in(const json& x) {
  return static_cast<uint32_t>(std::min<uint64_t>(number_in(x), UINT32_MAX));
}

bool flag_in(const json& x) {
  return x.is_boolean() && x.get<bool>();
}

std::optional<nanoseconds> time_in(const json& x) {
  constexpr double most = 1e9; // seconds: within what nanoseconds hold
  if (!x.is_number())
    return {};
  return nanoseconds{std::llround(std::clamp(x.get<double>(), 0.0, most) * 1e9)};
}

std::map<std::string, uint64_t> counts_in(const json& x) {
  std::map<std::string, uint64_t> result;
  if (x.is_object())
    for (auto& [name, count] : x.items())
      result[name] = number_in(count);
  return result;
}

lane_status lane_in(const json& x) {
  lane_status y;
  y.name = text_in(member(x, "name"));
  y.breaker = text_in(member(x, "breaker"));
  y.breaker_openings = number_in(member(x, "breaker_openings"));
  y.slots = small_number_in(member(x, "slots"));
  y.in_flight = number_in(member(x, "in_flight"));
  y.paused_for = time_in(member(x, "paused_seconds"));
  y.out = flag_in(member(x, "out"));
  if (auto& limits = member(x, "limits"); limits.is_array())
    for (auto& limit : limits)
      y.limits.push_back(
        {text_in(member(limit, "of")), number_in(member(limit, "limit")), number_in(member(limit, "used"))});
  return y;
}

provider_status provider_in(const json& x) {
  provider_status y;
  y.name = text_in(member(x, "name"));
  y.kind = text_in(member(x, "kind"));
  y.base_url = text_in(member(x, "base_url"));
  y.max_concurrent = small_number_in(member(x, "max_concurrent"));
  y.in_flight = number_in(member(x, "in_flight"));
  auto& queued = member(x, "queued");
  y.queued_batch = number_in(member(queued, "batch"));
  y.queued = y.queued_batch + number_in(member(queued, "interactive"));
  y.queued_bytes = number_in(member(x, "queued_bytes"));
  y.waiting = number_in(member(x, "retries_waiting"));
  y.next_retry = time_in(member(x, "next_retry_seconds"));
  y.predicted_wait = time_in(member(x, "predicted_wait_seconds")).value_or(nanoseconds{0});
  y.answered = number_in(member(x, "answered"));
  y.failed = number_in(member(x, "failed"));
  y.late = number_in(member(x, "late"));
  y.attempts = number_in(member(x, "attempts"));
  y.retries = counts_in(member(x, "retries"));
  y.refusals = counts_in(member(x, "refusals"));
  y.draining = flag_in(member(x, "draining"));
  y.problem = text_in(member(x, "problem"));
  if (auto& lanes = member(x, "lanes"); lanes.is_array())
    for (auto& lane : lanes)
      y.lanes.push_back(lane_in(lane));
  return y;
}

} // namespace

std::string to_json(const program_status& x) {
  auto providers = json::array();
  for (auto& y : x.providers)
    providers.push_back(to_object(y));
  return wire::to_text({{"program", "modelforge"}, {"pid", x.pid}, {"providers", std::move(providers)}}) + "\n";
}

std::string to_json(const provider_status& x) {
  return wire::to_text(to_object(x));
}

std::optional<program_status> read_status(std::string_view text) {
  auto parsed = wire::parse_json(text);
  auto* x = std::get_if<json>(&parsed);
  if (x == nullptr || wire::string_in(member(*x, "program")) != "modelforge")
    return {};
  program_status result;
  result.pid = static_cast<int64_t>(std::min<uint64_t>(number_in(member(*x, "pid")), INT64_MAX));
  if (auto& providers = member(*x, "providers"); providers.is_array())
    for (auto& provider : providers)
      result.providers.push_back(provider_in(provider));
  return result;
}

} // namespace modelforge::telemetry
