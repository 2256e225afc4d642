#pragma once

#include <modelforge/config/log_settings.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace modelforge::log {

/// All that is ever logged. `rules` has a row for each, in this order; docs/logs.md is written from it.
enum class event : uint8_t {
  node_started,
  node_draining,
  node_stopped,
  reload_taken,
  reload_refused,
  certificate_renewed,
  certificate_expiring,
  certificate_refused,
  metrics_unavailable,
  provider_started,
  provider_changed,
  provider_ended,
  provider_died,
  provider_unreachable,
  provider_reachable,
  breaker_opened,
  breaker_half_open,
  breaker_closed,
  limits_paused,
  limits_restored,
  limits_not_kept,
  limits_kept,
  key_refused,
  optimizer_failed,
  stream_cut,
  request_admitted,
  request_content,
  request_refused,
  request_sent,
  request_again,
  request_answered,
  request_failed,
  batch_started,
  batch_stopped,
  batch_ended,
  job_started,
  job_ended,
  peer_connected,
  peer_lost,
  peer_unreachable,
  peer_refused,
  guest_came,
  guest_left,
  log_content,
  log_dropped,
};

/// What an event may say of itself.
enum class field : uint8_t {
  none,
  version,
  node,
  listening,
  providers,
  grace_seconds,
  changed,
  added,
  replaced,
  removed,
  needs_restart,
  origin,
  reason,
  valid_seconds,
  address,
  provider,
  kind,
  lane,
  owner,
  failures,
  wait_seconds,
  age_seconds,
  request,
  model,
  code,
  status,
  attempt,
  priority,
  tenant,
  waited_seconds,
  waited_for,
  duration_seconds,
  input_tokens,
  output_tokens,
  attempts,
  prompt,
  input,
  output,
  items,
  answered,
  failed,
  job,
  peer,
  count,
  repeated,
  last,
};

inline constexpr auto field_names = std::to_array<std::string_view>({"",
                                                                     "version",
                                                                     "node",
                                                                     "listening",
                                                                     "providers",
                                                                     "grace_seconds",
                                                                     "changed",
                                                                     "added",
                                                                     "replaced",
                                                                     "removed",
                                                                     "needs_restart",
                                                                     "origin",
                                                                     "reason",
                                                                     "valid_seconds",
                                                                     "address",
                                                                     "provider",
                                                                     "kind",
                                                                     "lane",
                                                                     "owner",
                                                                     "failures",
                                                                     "wait_seconds",
                                                                     "age_seconds",
                                                                     "request",
                                                                     "model",
                                                                     "code",
                                                                     "status",
                                                                     "attempt",
                                                                     "priority",
                                                                     "tenant",
                                                                     "waited_seconds",
                                                                     "waited_for",
                                                                     "duration_seconds",
                                                                     "input_tokens",
                                                                     "output_tokens",
                                                                     "attempts",
                                                                     "prompt",
                                                                     "input",
                                                                     "output",
                                                                     "items",
                                                                     "answered",
                                                                     "failed",
                                                                     "job",
                                                                     "peer",
                                                                     "count",
                                                                     "repeated",
                                                                     "last"});

static_assert(field_names.size() == static_cast<std::size_t>(field::last) + 1);

constexpr std::string_view name_of(field of) {
  return field_names[static_cast<std::size_t>(of)];
}

/// What is fixed about an event.
struct event_rule {
  event what{};
  std::string_view name;
  log_level level{};
  std::string_view component;
  std::string_view message; ///< One sentence for people.
  uint8_t subject = 0; ///< The first so many fields say what it is about: what repeats is counted. 0: each is told.
  std::array<field, 10>
    fields{}; ///< The fields, in their order; `none` behind the last. Those with no value are left out.
};

namespace detail {

using enum field;
using enum log_level;

inline constexpr auto rules = std::to_array<event_rule>({
  {event::node_started, "node.started", info, "node", "runs", 0, {version, node, listening, providers}},
  {event::node_draining,
   "node.draining",
   info,
   "node",
   "shutting down: takes nothing new, and waits for what is running",
   0,
   {grace_seconds}},
  {event::node_stopped, "node.stopped", info, "node", "ends", 0, {}},
  {event::reload_taken,
   "reload.taken",
   info,
   "node",
   "settings read again, and in force",
   0,
   {origin, changed, added, replaced, removed, needs_restart}},
  {event::reload_refused,
   "reload.refused",
   warning,
   "node",
   "settings read again, and refused; nothing has changed",
   0,
   {origin, reason}},
  {event::certificate_renewed,
   "certificate.renewed",
   info,
   "node",
   "another certificate is in use for new links",
   0,
   {valid_seconds}},
  {event::certificate_expiring,
   "certificate.expiring",
   warning,
   "node",
   "the certificate of this node ends soon; then no link comes about",
   0,
   {valid_seconds}},
  {event::certificate_refused,
   "certificate.refused",
   warning,
   "node",
   "the certificate's files have changed and cannot be used; the one before stays in use",
   0,
   {reason}},
  {event::metrics_unavailable,
   "metrics.unavailable",
   warning,
   "metrics",
   "the port of the metrics cannot be had",
   0,
   {reason}},
  {event::provider_started, "provider.started", info, "registry", "takes requests", 0, {provider, kind, owner}},
  {event::provider_changed, "provider.changed", info, "registry", "has other settings", 0, {provider}},
  {event::provider_ended,
   "provider.ended",
   info,
   "registry",
   "takes nothing new; it ends when what it has is done",
   0,
   {provider}},
  {event::provider_died,
   "provider.died",
   error,
   "registry",
   "has ended unasked, and is started again",
   1,
   {provider, reason, wait_seconds}},
  {event::provider_unreachable,
   "provider.unreachable",
   warning,
   "proxy",
   "the node that runs it cannot be asked; requests wait for it",
   2,
   {provider, owner, reason}},
  {event::provider_reachable,
   "provider.reachable",
   info,
   "proxy",
   "the node that runs it can be asked",
   2,
   {provider, owner}},
  {event::breaker_opened,
   "breaker.opened",
   warning,
   "provider",
   "it keeps failing: nothing is sent until a request tries it again",
   2,
   {provider, lane, failures, wait_seconds, reason}},
  {event::breaker_half_open,
   "breaker.half_open",
   info,
   "provider",
   "a request tries whether it is well again",
   2,
   {provider, lane}},
  {event::breaker_closed, "breaker.closed", info, "provider", "it is well again", 2, {provider, lane}},
  {event::limits_paused,
   "limits.paused",
   info,
   "provider",
   "it refuses for load: nothing is sent for a time",
   2,
   {provider, lane, wait_seconds}},
  {event::limits_restored,
   "limits.restored",
   info,
   "provider",
   "what was used of the limits before counts",
   1,
   {provider, age_seconds}},
  {event::limits_not_kept,
   "limits.not_kept",
   warning,
   "provider",
   "the use of the limits is not kept for the next start",
   1,
   {provider, reason}},
  {event::limits_kept, "limits.kept", info, "provider", "the use of the limits is kept again", 1, {provider}},
  {event::key_refused, "key.refused", warning, "provider", "it refuses the key", 2, {provider, lane, reason}},
  {event::optimizer_failed,
   "optimizer.failed",
   warning,
   "provider",
   "an optimizer was no use to a request, which went without it",
   1,
   {provider, reason}},
  {event::stream_cut,
   "stream.cut",
   warning,
   "provider",
   "a stream broke off behind a part that its readers have",
   1,
   {provider, request, model, code, reason}},
  {event::request_admitted,
   "request.admitted",
   debug,
   "provider",
   "was taken in",
   0,
   {request, provider, model, priority, tenant}},
  {event::request_content, "request.content", debug, "provider", "asks this", 0, {request, provider, prompt}},
  {event::request_refused,
   "request.refused",
   debug,
   "provider",
   "was not taken in",
   0,
   {request, provider, model, code, reason}},
  {event::request_sent,
   "request.sent",
   debug,
   "provider",
   "was sent",
   0,
   {request, provider, lane, attempt, waited_seconds, waited_for}},
  {event::request_again,
   "request.again",
   debug,
   "provider",
   "failed and is sent again",
   0,
   {request, provider, attempt, code, status, reason}},
  {event::request_answered,
   "request.answered",
   debug,
   "provider",
   "has its answer",
   0,
   {request, provider, model, attempts, duration_seconds, input_tokens, output_tokens}},
  {event::request_failed,
   "request.failed",
   debug,
   "provider",
   "has ended in an error",
   0,
   {request, provider, model, attempts, duration_seconds, code, status, reason}},
  {event::batch_started, "batch.started", info, "batch", "begins, or goes on", 0, {input, output, providers}},
  {event::batch_stopped,
   "batch.stopped",
   warning,
   "batch",
   "has stopped before its end; run again, it goes on",
   0,
   {output, reason}},
  {event::batch_ended, "batch.ended", info, "batch", "is done", 0, {output, items, answered, failed, duration_seconds}},
  {event::job_started, "job.started", info, "batch", "the provider's batch API is asked for a job", 0, {job, items}},
  {event::job_ended, "job.ended", info, "batch", "a job of the provider's batch API is over", 0, {job, reason}},
  {event::peer_connected, "peer.connected", info, "node", "a link has come about", 2, {peer, address}},
  {event::peer_lost, "peer.lost", warning, "node", "the link broke", 1, {peer}},
  {event::peer_unreachable,
   "peer.unreachable",
   warning,
   "node",
   "no link comes about; it is tried again",
   1,
   {address, peer, reason}},
  {event::peer_refused, "peer.refused", warning, "node", "was not let in", 1, {peer, reason}},
  {event::guest_came, "guest.came", info, "node", "a node uses a provider here", 2, {peer, provider}},
  {event::guest_left, "guest.left", info, "node", "a node has left a provider here", 2, {peer, provider}},
  {event::log_content, "log.content", warning, "log", "log.content is on: prompts stand in this log", 0, {}},
  {event::log_dropped,
   "log.dropped",
   warning,
   "log",
   "events are missing here: there was no room, or no writing them",
   0,
   {count, duration_seconds, reason}},
});

constexpr bool is_in_order() {
  for (std::size_t i = 0; i < rules.size(); ++i)
    if (rules[i].what != static_cast<event>(i))
      return false;
  return rules.size() == static_cast<std::size_t>(event::log_dropped) + 1;
}

static_assert(is_in_order());

} // namespace detail

inline constexpr auto& rules = detail::rules;

constexpr const event_rule& rule_of(event what) {
  return rules[static_cast<std::size_t>(what)];
}

/// The first of the events that say by turns how the same thing stands, such as a breaker; else the event itself. What
/// repeats itself is counted for all of them together, so that none is told before what happened earlier.
constexpr event family_of(event what) {
  switch (what) {
    case event::breaker_half_open:
    case event::breaker_closed:
      return event::breaker_opened;
    case event::limits_kept:
      return event::limits_not_kept;
    case event::provider_reachable:
      return event::provider_unreachable;
    case event::guest_left:
      return event::guest_came;
    default:
      return what;
  }
}

/// The table of all events, as docs/logs.md has it.
std::string events_markdown();

} // namespace modelforge::log
