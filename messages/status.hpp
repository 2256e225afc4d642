#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

/// What actors answer to `status_atom`: snapshots for people, `modelforge providers` and metrics. Nobody inside goes by
/// them. Counters start with the actor and only rise; what is about to end may be counted in two places or none for a
/// moment.

namespace modelforge {

/// How much of a limit is used, in the window that is sliding now. `limit` is what we pace ourselves to: the settings'
/// figure, or one that the provider's headers have shown.
struct limit_use {
  std::string of;     ///< "requests", "tokens", "input_tokens" or "output_tokens"; with " of MODEL": as answers tell.
  uint64_t limit = 0; ///< Within one window.
  uint64_t used = 0;  ///< By what is live in the window now.

  friend bool operator==(const limit_use&, const limit_use&) = default;
};

/// A credential with a group of models: what limits belong to. A provider with two keys and one pattern of models with
/// limits of their own has four.
struct lane_status {
  std::string name;    ///< The key's name; behind a "/" the pattern of a group with limits of its own.
  std::string breaker; ///< "closed", "open" or "half_open".
  /// Since the provider's actor began; a trial that failed counts as one more.
  uint64_t breaker_openings = 0;
  uint32_t slots = 0; ///< Attempts that may be in flight now.
  uint64_t in_flight = 0;
  std::optional<std::chrono::nanoseconds> paused_for; ///< A wait that the provider named.
  bool out = false;                                   ///< The provider refused the key; others are used instead.
  std::vector<limit_use> limits;

  friend bool operator==(const lane_status&, const lane_status&) = default;
};

/// The providers that a registry knows, in the order of the settings; the first is the default.
struct provider_names {
  std::vector<std::string> names;

  friend bool operator==(const provider_names&, const provider_names&) = default;
};

/// What became of settings that were given to a running program, by the providers' names. Each provider of the old and
/// the new settings is in exactly one of the first five lists.
struct reload_report {
  std::vector<std::string> added;
  std::vector<std::string> changed;  ///< As they run.
  std::vector<std::string> replaced; ///< Another kind or owner: the old one drains, the handle is new.
  std::vector<std::string> removed;  ///< They drain.
  std::vector<std::string> unchanged;
  std::vector<std::string> needs_restart; ///< Tables whose changes come to effect with the next start.

  friend bool operator==(const reload_report&, const reload_report&) = default;
};

/// A link of a node to another one. Links that are configured are listed also while they are down; links from others
/// only while they are up.
struct peer_status {
  std::string name;    ///< The peer's; empty until it has told.
  std::string address; ///< HOST:PORT, as configured; empty: the peer connected to this node.
  bool up = false;
  std::string problem;               ///< Why not.
  std::chrono::nanoseconds since{0}; ///< For how long it has been so.

  friend bool operator==(const peer_status&, const peer_status&) = default;
};

/// How this program stands among other nodes.
struct node_status {
  std::string name; ///< Empty: it is no node.
  std::string cluster;
  std::string listening; ///< HOST:PORT; empty: nowhere.
  bool tls = false;
  std::vector<peer_status> peers;

  friend bool operator==(const node_status&, const node_status&) = default;
};

/// What a provider actor is doing now, and what it has done since it started. Of a provider that another node runs
/// these are that node's figures, as long as it can be reached.
struct provider_status {
  std::string name;
  std::string kind; ///< As in TOML, e.g. "openai".
  std::string base_url;
  uint32_t max_concurrent = 0; ///< Per key.
  // What waits, and what is under way.
  uint64_t queued = 0;       ///< Of both priorities; retries that wait for their time are apart.
  uint64_t queued_batch = 0; ///< Part of `queued`.
  uint64_t queued_bytes = 0; ///< Retries that wait included.
  uint64_t waiting = 0;      ///< Retries that wait for their time.
  std::optional<std::chrono::nanoseconds> next_retry; ///< Until the first of them is due.
  uint64_t in_flight = 0;
  std::chrono::nanoseconds predicted_wait{0}; ///< Of a usual request that comes now, as far as limits decide.
  // What has been done.
  uint64_t answered = 0;                    ///< Requests that ended in a completion.
  uint64_t failed = 0;                      ///< Requests that ended in an error, refused ones included.
  uint64_t late = 0;                        ///< Answers that came when their request had been given up.
  uint64_t attempts = 0;                    ///< HTTP exchanges begun.
  std::map<std::string, uint64_t> retries;  ///< By what the failure before them meant, e.g. "rate".
  std::map<std::string, uint64_t> refusals; ///< Requests that we did not send, by reason, e.g. "predicted_wait".
  bool draining = false;
  std::string problem; ///< What does not work, though requests do: e.g. the folder that keeps the limits' use.
  /// One for each credential and each group of models with limits of its own.
  std::vector<lane_status> lanes;

  friend bool operator==(const provider_status&, const provider_status&) = default;
};

// What CAF sends: the fields in this order, without names. Whoever changes it raises `wire_version` (node_hello.hpp).
template <class Inspector>
bool inspect(Inspector& f, reload_report& x) {
  return f.object(x).fields(f.field("added", x.added), f.field("changed", x.changed), f.field("replaced", x.replaced),
                            f.field("removed", x.removed), f.field("unchanged", x.unchanged),
                            f.field("needs_restart", x.needs_restart));
}

template <class Inspector>
bool inspect(Inspector& f, peer_status& x) {
  return f.object(x).fields(f.field("name", x.name), f.field("address", x.address), f.field("up", x.up),
                            f.field("problem", x.problem), f.field("since", x.since));
}

template <class Inspector>
bool inspect(Inspector& f, node_status& x) {
  return f.object(x).fields(f.field("name", x.name), f.field("cluster", x.cluster), f.field("listening", x.listening),
                            f.field("tls", x.tls), f.field("peers", x.peers));
}

template <class Inspector>
bool inspect(Inspector& f, limit_use& x) {
  return f.object(x).fields(f.field("of", x.of), f.field("limit", x.limit), f.field("used", x.used));
}

template <class Inspector>
bool inspect(Inspector& f, lane_status& x) {
  return f.object(x).fields(f.field("name", x.name), f.field("breaker", x.breaker),
                            f.field("breaker_openings", x.breaker_openings), f.field("slots", x.slots),
                            f.field("in_flight", x.in_flight), f.field("paused_for", x.paused_for),
                            f.field("out", x.out), f.field("limits", x.limits));
}

template <class Inspector>
bool inspect(Inspector& f, provider_names& x) {
  return f.object(x).fields(f.field("names", x.names));
}

template <class Inspector>
bool inspect(Inspector& f, provider_status& x) {
  return f.object(x).fields(
    f.field("name", x.name), f.field("kind", x.kind), f.field("base_url", x.base_url),
    f.field("max_concurrent", x.max_concurrent), f.field("queued", x.queued), f.field("queued_batch", x.queued_batch),
    f.field("queued_bytes", x.queued_bytes), f.field("waiting", x.waiting), f.field("next_retry", x.next_retry),
    f.field("in_flight", x.in_flight), f.field("predicted_wait", x.predicted_wait), f.field("answered", x.answered),
    f.field("failed", x.failed), f.field("late", x.late), f.field("attempts", x.attempts),
    f.field("retries", x.retries), f.field("refusals", x.refusals), f.field("draining", x.draining),
    f.field("problem", x.problem), f.field("lanes", x.lanes));
}

} // namespace modelforge
