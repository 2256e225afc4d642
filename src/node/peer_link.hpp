#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <string>

namespace modelforge::node {

using duration = std::chrono::nanoseconds;
using time_point = std::chrono::steady_clock::time_point;

struct link_settings {
  duration step = std::chrono::seconds{2}; ///< How long each step to a link may take.
  duration first_wait = std::chrono::milliseconds{100};
  duration max_wait = std::chrono::seconds{4};
};

/// How a link is tried where a silent peer is given up after `timeout`.
link_settings link_settings_for(duration timeout);

/// How long a link may take to be up again, from when this side saw it break, if nothing is in the way: the peer may
/// not have seen the break and refuse a second link until it does, `timeout` and two heartbeats later; a try that began
/// just before then may take its whole time, and the longest pause follows.
duration max_relink_time(duration timeout, duration heartbeat);

/// Decides when the link to a peer is tried again. A link comes up in three steps, each with a time of its own: the
/// address is probed, CAF connects, the nodes greet each other. After a failure it waits, doubling from `first_wait` to
/// `max_wait`, of which between a half and the whole is taken at random, so that nodes do not come back in step.
///
/// A plain class: `now` comes as an argument and never goes back.
class peer_link {
public:
  enum class state : uint8_t { waiting, probing, connecting, greeting, up };

  peer_link(const link_settings& settings, time_point now) : settings_(settings), due_(now) {}

  /// What is to be begun now; empty: nothing. Call it until it is empty, after every other call and at `wake_at`.
  std::optional<state> next(time_point now, std::mt19937_64& random);

  /// The step under way has succeeded.
  void advance(time_point now);

  /// The step under way has failed, or the link is lost.
  void fail(std::string problem, time_point now, std::mt19937_64& random);

  /// When `next` has something to tell; empty: the link is up.
  std::optional<time_point> wake_at() const;

  state current() const { return state_; }

  /// Rises with every try: what comes of an earlier one is to be dropped.
  uint64_t attempt() const { return attempt_; }

  /// Why the last try failed; empty once it is up.
  const std::string& problem() const { return problem_; }

  /// When the link came up, or was lost, or was first tried.
  time_point since() const { return since_; }

private:
  link_settings settings_;
  state state_ = state::waiting;
  bool begun_ = false; ///< The step was told by `next`.
  time_point due_;     ///< Of the next try, or of the step's end.
  time_point since_ = due_;
  uint64_t attempt_ = 0;
  uint32_t failures_ = 0;
  std::string problem_;
};

} // namespace modelforge::node
