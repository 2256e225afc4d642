#pragma once

#include "limits/learned_limits.hpp"
#include "limits/rate_limiter.hpp"

namespace modelforge::limits {

/// What answers tell of the limits of one model on one lane, and what its attempts have taken of them. Providers limit
/// models apart, and tell of the one that was asked; so one model's limits never hold another one back.
///
/// Told limits are kept like configured ones, by a gate of their own, but they refuse nothing: what exceeds a told
/// window goes alone, and what is not confirmed is forgotten (see `learned_limits`).
///
/// Part of `lane`, and held by its attempts too, so that one under way outlives the forgetting of its model. A plain
/// class: holds no clock. `now` never goes back.
class model_limits {
public:
  /// `like`: the lane's; of it only window, guard and burst count.
  explicit model_limits(const rate_limits& like) : gate_(without_limits(like)), told_(like.window) {}

  void reconfigure(const rate_limits& like) {
    gate_.reconfigure(without_limits(like));
    told_.set_window(like.window);
    next_change_ = {};
  }

  /// An attempt's place.
  struct ticket {
    rate_limiter::ticket gate{};
    learned_limits::mark mark;
  };

  ticket reserve(const charge& wanted, time_point now);
  void written(const ticket& place, time_point when) { gate_.written(place.gate, when); }

  /// Charges `taken` until `expiry`.
  void restore(const amounts& taken, time_point expiry) { gate_.restore(taken, expiry); }

  /// All that it has charged, and what is under way.
  const rate_limiter& gate() const { return gate_; }

  /// Charges as well all that is live in `from` and has an expiry.
  void take_over(const model_limits& from) { gate_.take_over(from.gate_); }
  void take_over(const rate_limiter& from) { gate_.take_over(from); }

  /// Takes over an attempt that is under way in `from`: see `rate_limiter::take_over`.
  ticket take_over(model_limits& from, const ticket& place, const charge& reserved, time_point now) {
    --from.open_;
    ++open_;
    return {gate_.take_over(from.gate_, place.gate), told_.dispatched(bounded(reserved.total()), now)};
  }

  /// The attempt has ended: see `rate_limiter::end`.
  void end(const ticket& place, time_point now, const charge* real) {
    gate_.end(place.gate, now, real);
    --open_;
  }

  /// No byte was written: see `rate_limiter::release`.
  void release(const ticket& place) {
    gate_.release(place.gate);
    --open_;
  }

  /// Takes in what an ended attempt's answer tells: see `learned_limits::observe`.
  void observe(const ticket& place, const server_limits& told, const std::array<std::optional<uint64_t>, 4>& configured,
               time_point now, bool good);

  /// When `wanted` may go, as far as the answers are believed; with `before`, if that one of the same model went now.
  time_point ready_at(const charge& wanted, time_point now, const charge* before = nullptr);

  /// When what remained lets `wanted` go, if the answers are right: see `learned_limits::told_at`.
  time_point told_at(const charge& wanted, time_point now, const amounts& ahead = {}) const {
    return told_.told_at(bounded(wanted.total()), now, ahead);
  }

  /// When `wanted` could go after `ahead` of the same model, if the answers are right.
  time_point predict(const amounts& ahead, const charge& wanted, time_point now);

  /// No later than so much after the later of now and `told_at` will `predict` say; quick.
  duration longest_wait(const amounts& ahead, time_point now) {
    if (now >= next_change_)
      heed(now);
    return gate_.longest_wait(ahead);
  }

  /// The limit within one window, if one is told and not forgotten.
  std::optional<uint64_t> limit(dimension d, time_point now) const { return told_.limit(d, now); }

  /// What is live, in each dimension.
  amounts live(time_point now) { return gate_.live(now); }

  /// Whether it may be forgotten: nothing is known, under way or live.
  bool is_idle(time_point now) { return open_ == 0 && told_.empty(now) && gate_.live(now) == amounts{}; }

  /// When it was asked last.
  time_point asked() const { return asked_; }

private:
  static rate_limits without_limits(rate_limits settings) {
    settings.per_minute = {};
    return settings;
  }

  void heed(time_point now);

  rate_limiter gate_;
  learned_limits told_;
  time_point next_change_ = time_point::max(); ///< When a limit of the gate is forgotten.
  time_point asked_{};
  std::size_t open_ = 0;
};

} // namespace modelforge::limits
