#pragma once

#include "limits/charge.hpp"

#include <modelforge/messages/chat_request.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>

namespace modelforge::limits {

/// The pause that a provider asks a lane for, and who finds out whether it is over.
///
/// A provider's word is believed for a time only, by priority (`max_wait`, counted from when it was told, or tried in
/// vain, last); then one attempt at a time goes as a probe. Invariants: an earlier end never replaces a later one,
/// unless a probe brings it, since that is the newest word; only a probe that left after the latest word ends the
/// pause.
///
/// Part of `lane`, which calls it. A plain class: holds no clock. `now` never goes back.
class server_pause {
public:
  using max_waits = std::array<duration, 2>; ///< By priority.

  explicit server_pause(const max_waits& max_wait) : max_wait_(max_wait) {}

  void reconfigure(const max_waits& max_wait) { max_wait_ = max_wait; }

  /// The provider says so, in its answer to a probe or to another attempt.
  void begin(time_point until, bool told_to_probe, time_point now) {
    until_ = told_to_probe ? until : std::max(until, until_);
    since_ = now;
  }

  /// Its end by the provider's word.
  time_point until() const { return until_; }

  /// When an attempt may go: while a probe is under way, none before the end.
  time_point ready_at(priority rank) const { return probes_ > 0 ? until_ : believed_until(rank); }

  /// Until when it lasts by the provider's word; now, if a probe may find out.
  time_point told_until(priority rank, time_point now) const {
    return probes_ == 0 && believed_until(rank) <= now ? now : std::max(until_, now);
  }

  /// An attempt that begins now is a probe.
  bool is_on(time_point now) const { return now < until_; }

  void probe_began() { ++probes_; }
  void probe_ended() { --probes_; }

  /// A probe that left at `started` has succeeded.
  void on_success(time_point started) {
    if (started >= since_)
      until_ = {};
  }

  /// A probe has found the provider as busy as before.
  void on_vain_probe(time_point now) { since_ = std::max(since_, now); }

  /// Waits at least as long as `other`.
  void extend(const server_pause& other) {
    until_ = std::max(until_, other.until_);
    since_ = std::max(since_, other.since_);
  }

private:
  time_point believed_until(priority rank) const {
    return std::min(until_, since_ + max_wait_[static_cast<std::size_t>(rank)]);
  }

  max_waits max_wait_;
  time_point until_{};
  time_point since_{};  ///< When it was told, or tried in vain, last.
  uint32_t probes_ = 0; ///< Under way.
};

} // namespace modelforge::limits
