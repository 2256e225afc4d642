#include "telemetry/status_json.hpp"

#include "base/utc_text.hpp"
#include "telemetry/readiness.hpp"
#include "telemetry/status_objects.hpp"
#include "json/value.hpp"

#include <algorithm>
#include <cmath>

namespace modelforge::telemetry {

namespace {

using json::member;
using json::value;
using nanoseconds = std::chrono::nanoseconds;

double seconds(nanoseconds time) {
  return std::chrono::duration<double>{time}.count();
}

value seconds(const std::optional<nanoseconds>& time) {
  return time ? value(seconds(*time)) : value(nullptr);
}

value count(const std::optional<uint64_t>& number) {
  return number ? value(*number) : value(nullptr);
}

value percent(const limit_use& use) {
  return use.limit > 0 ? value(100.0 * static_cast<double>(use.used) / static_cast<double>(use.limit)) : value(nullptr);
}

value to_object(const lane_status& lane) {
  auto limits = value::array();
  for (auto& limit : lane.limits)
    limits.push_back(
      {{"of", limit.of}, {"limit", limit.limit}, {"used", limit.used}, {"used_percent", percent(limit)}});
  return {{"name", lane.name},   {"breaker", lane.breaker},     {"breaker_openings", lane.breaker_openings},
          {"slots", lane.slots}, {"in_flight", lane.in_flight}, {"paused_seconds", seconds(lane.paused_for)},
          {"out", lane.out},     {"limits", std::move(limits)}};
}

/// An object even when there are no members.
value to_object(const std::map<std::string, uint64_t>& counts) {
  auto result = value::object();
  for (auto& [name, count] : counts)
    result[name] = count;
  return result;
}

/// One provider. A name here is a promise to scripts: it stays, with its meaning; new ones may come.
value to_object(const provider_status& status) {
  auto lanes = value::array();
  for (auto& lane : status.lanes)
    lanes.push_back(to_object(lane));
  return {{"name", status.name},
          {"kind", status.kind},
          {"base_url", status.base_url},
          {"max_concurrent", status.max_concurrent},
          {"in_flight", status.in_flight},
          {"queued", {{"interactive", status.queued - status.queued_batch}, {"batch", status.queued_batch}}},
          {"queued_bytes", status.queued_bytes},
          {"retries_waiting", status.waiting},
          {"next_retry_seconds", seconds(status.next_retry)},
          {"predicted_wait_seconds", seconds(status.predicted_wait)},
          {"answered", status.answered},
          {"failed", status.failed},
          {"late", status.late},
          {"attempts", status.attempts},
          {"retries", to_object(status.retries)},
          {"refusals", to_object(status.refusals)},
          {"draining", status.draining},
          {"problem", status.problem},
          {"lanes", std::move(lanes)}};
}

value to_object(const provider_report& provider) {
  value result{{"name", provider.status.name},
               {"kind", provider.status.kind},
               {"state", name_of(provider.state)},
               {"owner", provider.owner}};
  result.update(to_object(provider.status));
  return result;
}

value to_object(const build_info& build) {
  return {{"commit", build.commit.empty() ? value(nullptr) : value(build.commit)},
          {"compiler", build.compiler},
          {"caf", build.caf}};
}

value to_object(const span_report& spans) {
  return {{"spans_exported", spans.exported}, {"spans_failed", spans.failed}, {"spans_dropped", spans.dropped}};
}

value to_object(const settings_report& settings) {
  value refused(nullptr);
  if (settings.refused)
    refused = {{"at", base::utc_text(settings.refused->at)}, {"reason", settings.refused->reason}};
  return {{"origin", settings.origin},
          {"taken_at", base::utc_text(settings.taken_at)},
          {"last_reload_refused", settings.is_last_refused},
          {"refused", std::move(refused)}};
}

value to_object(const node_report& node) {
  auto links = value::array();
  for (auto& link : node.status.peers)
    links.push_back({{"peer", link.name},
                     {"address", link.address},
                     {"up", link.up},
                     {"seconds", seconds(link.since)},
                     {"problem", link.problem}});
  auto guests = value::array();
  for (auto& guest : node.guests)
    guests.push_back({{"node", guest.node}, {"provider", guest.provider}});
  return {{"name", node.status.name},   {"cluster", node.status.cluster}, {"listening", node.status.listening},
          {"tls", node.status.tls},     {"answered", node.is_answered},   {"links", std::move(links)},
          {"guests", std::move(guests)}};
}

// -- reading ------------------------------------------------------------------------

std::string text_in(const value& value) {
  return std::string{json::string_in(value)};
}

uint64_t number_in(const value& value) {
  return json::count_in(value).value_or(0);
}

uint32_t small_number_in(const value& value) {
  return static_cast<uint32_t>(std::min<uint64_t>(number_in(value), UINT32_MAX));
}

bool flag_in(const value& value) {
  return value.is_boolean() && value.get<bool>();
}

std::optional<nanoseconds> time_in(const value& value) {
  constexpr double max_seconds = 1e9; // seconds: within what nanoseconds hold
  if (!value.is_number())
    return {};
  return nanoseconds{std::llround(std::clamp(value.get<double>(), 0.0, max_seconds) * 1e9)};
}

std::map<std::string, uint64_t> counts_in(const value& value) {
  std::map<std::string, uint64_t> result;
  if (value.is_object())
    for (auto& [name, count] : value.items())
      result[name] = number_in(count);
  return result;
}

/// Reads as much as is there and makes sense: the other program may be older, newer, or lie. Missing figures are 0.
lane_status lane_in(const value& object) {
  lane_status result;
  result.name = text_in(member(object, "name"));
  result.breaker = text_in(member(object, "breaker"));
  result.breaker_openings = number_in(member(object, "breaker_openings"));
  result.slots = small_number_in(member(object, "slots"));
  result.in_flight = number_in(member(object, "in_flight"));
  result.paused_for = time_in(member(object, "paused_seconds"));
  result.out = flag_in(member(object, "out"));
  if (auto& limits = member(object, "limits"); limits.is_array())
    for (auto& limit : limits)
      result.limits.push_back(
        {text_in(member(limit, "of")), number_in(member(limit, "limit")), number_in(member(limit, "used"))});
  return result;
}

/// The reverse of `to_object`, one member after the other.
provider_status provider_in(const value& object) {
  provider_status result;
  result.name = text_in(member(object, "name"));
  result.kind = text_in(member(object, "kind"));
  result.base_url = text_in(member(object, "base_url"));
  result.max_concurrent = small_number_in(member(object, "max_concurrent"));
  result.in_flight = number_in(member(object, "in_flight"));
  auto& queued = member(object, "queued");
  result.queued_batch = number_in(member(queued, "batch"));
  result.queued = result.queued_batch + number_in(member(queued, "interactive"));
  result.queued_bytes = number_in(member(object, "queued_bytes"));
  result.waiting = number_in(member(object, "retries_waiting"));
  result.next_retry = time_in(member(object, "next_retry_seconds"));
  result.predicted_wait = time_in(member(object, "predicted_wait_seconds")).value_or(nanoseconds{0});
  result.answered = number_in(member(object, "answered"));
  result.failed = number_in(member(object, "failed"));
  result.late = number_in(member(object, "late"));
  result.attempts = number_in(member(object, "attempts"));
  result.retries = counts_in(member(object, "retries"));
  result.refusals = counts_in(member(object, "refusals"));
  result.draining = flag_in(member(object, "draining"));
  result.problem = text_in(member(object, "problem"));
  if (auto& lanes = member(object, "lanes"); lanes.is_array())
    for (auto& lane : lanes)
      result.lanes.push_back(lane_in(lane));
  return result;
}

/// A program that tells no state is an older one: then what it tells of the provider decides.
provider_report report_in(const value& object) {
  provider_report result;
  result.status = provider_in(object);
  result.owner = text_in(member(object, "owner"));
  if (!from_string(json::string_in(member(object, "state")), result.state))
    result.state = state_of(result.status, false);
  return result;
}

} // namespace

std::string to_json(const program_status& program) {
  auto providers = value::array();
  for (auto& provider : program.providers)
    providers.push_back(to_object(provider));
  auto reasons = reasons_against(program);
  return json::to_text({{"program", "modelforge"},
                        {"pid", program.pid},
                        {"version", program.build.version},
                        {"build", to_object(program.build)},
                        {"started_at", base::utc_text(program.started_at)},
                        {"uptime_seconds", seconds(program.uptime)},
                        {"ready", reasons.empty()},
                        {"reasons", to_array(reasons)},
                        {"draining", program.is_draining},
                        {"settings", program.settings ? to_object(*program.settings) : value(nullptr)},
                        {"node", program.node ? to_object(*program.node) : value(nullptr)},
                        {"providers", std::move(providers)},
                        {"log_events_dropped", count(program.dropped_events)},
                        {"access_log_lines_dropped", count(program.dropped_requests)},
                        {"traces", program.spans ? to_object(*program.spans) : value(nullptr)}})
         + "\n";
}

std::string to_json(const provider_status& status) {
  return json::to_text(to_object(status));
}

// That something answers at the port does not make it ours; the first member says so.
std::optional<program_status> read_status(std::string_view text) {
  auto parsed = json::parse(text);
  auto* root = std::get_if<json::value>(&parsed);
  if (root == nullptr || json::string_in(member(*root, "program")) != "modelforge")
    return {};
  program_status result;
  result.pid = static_cast<int64_t>(std::min<uint64_t>(number_in(member(*root, "pid")), INT64_MAX));
  if (auto& providers = member(*root, "providers"); providers.is_array())
    for (auto& provider : providers)
      result.providers.push_back(report_in(provider));
  return result;
}

} // namespace modelforge::telemetry
