#pragma once

#include "limits/charge.hpp"
#include "limits/pacer.hpp"

#include <deque>
#include <optional>
#include <vector>

namespace modelforge::limits {

/// A provider's limits as its documentation tells them. A dimension without a limit is not limited.
struct rate_limits {
  std::array<std::optional<uint64_t>, 4> per_minute{};
  uint64_t burst = 10;                            ///< Requests that may leave at once after a quiet time; at least 1.
  duration window = std::chrono::seconds{60};     ///< What the provider enforces its limits over; they scale with it.
  duration guard = std::chrono::milliseconds{50}; ///< How much the times that requests take to arrive may differ.
};

/// What one attempt takes from its lane.
struct charge {
  amounts arriving{1, 0, 0, 0}; ///< Counted by the provider when the request arrives.
  amounts produced{}; ///< Counted by the provider while it answers: reserved at dispatch, corrected at the end.

  amounts total() const {
    auto sum = arriving;
    for (std::size_t i = 0; i < sum.size(); ++i)
      sum[i] += produced[i];
    return sum;
  }
};

/// Keeps a lane's dispatches within its limits: for every interval [x, x + window) of arrivals at the provider the sum
/// stays within the limit, as long as network delays differ by less than the guard.
///
/// The gate is a log of live charges. A charge is live from its reservation until window + guard after its request was
/// written (for what the provider produces: after the answer's end). Expiries are rounded up to whole milliseconds and
/// charges that expire together share an entry, so the log has at most one entry for each millisecond of the window,
/// however many requests there are. Before the gate stands a pacer for each dimension, which only spaces what the gate
/// allows: see `pacer`; its cost is amount / limit x window. (One for all of them, at the greatest of the costs, would
/// allow less than each of the limits does.)
///
/// Amounts are guesses before the answer, and a provider's word after it. A charge that exceeds a whole window goes
/// alone, when nothing else is live in that dimension; if that is because of what it may produce, when nothing is under
/// way there and half of the window is free, so that one long answer seen lets no short ones wait. A correction counts
/// `max_amount` at most, and holds others back for one window + guard at most, the pacer included: it owes no more
/// than the gate remembers.
///
/// Used by `lane` for what is configured and by `model_limits` for what answers tell. A plain class: holds no clock.
/// `now` never goes back.
class rate_limiter {
public:
  using ticket = uint32_t;

  explicit rate_limiter(const rate_limits& settings);

  /// Takes over other limits. What is live stays charged: below a lower limit nothing goes before enough has expired.
  /// With a longer window it stays so for the longer time.
  void reconfigure(const rate_limits& settings);

  /// Limit within one window; empty: none.
  std::optional<uint64_t> limit(dimension d) const { return limits_[static_cast<std::size_t>(d)]; }

  /// Sets the limit within one window (at least 1), or takes it away. What is live stays charged.
  void set_limit(dimension d, std::optional<uint64_t> in_window);

  /// Limit within one window as configured, before `set_limit`.
  std::optional<uint64_t> configured(dimension d) const { return configured_[static_cast<std::size_t>(d)]; }

  /// The dimension in which `wanted` alone exceeds the limit. Only what is certain should be asked for: `ready_at` lets
  /// such a charge go alone.
  std::optional<dimension> never_fits(const amounts& wanted) const;

  /// When `wanted` may be dispatched if nothing else is, and nothing ends: exactly, but that a request which is not
  /// written yet counts as written now. With `before`, the time if that one were dispatched now. More than a whole
  /// window counts as a whole window, so that every charge may go some time.
  time_point ready_at(const charge& wanted, time_point now, const charge* before = nullptr);

  /// The time until `ready_at`.
  duration wait_for(const charge& wanted, time_point now) { return ready_at(wanted, now) - now; }

  /// When `ahead`, and then `wanted`, will have been dispatched, if nothing else is: as if requests could be cut to
  /// measure. Beyond one window each further limit takes one more window + guard. At most `longest_prediction`.
  time_point predict(const amounts& ahead, const charge& wanted, time_point now);

  /// No later than so much after now will `predict` say; quick.
  duration longest_wait(const amounts& ahead) const;

  /// Beyond it, predictions do not tell times apart.
  static constexpr duration longest_prediction = std::chrono::hours{24 * 365 * 10};

  /// Charges `wanted`.
  ticket reserve(const charge& wanted, time_point now);

  /// The request's last byte went out at `when`.
  void written(ticket t, time_point when);

  /// The attempt has ended; a request that was never told to be written counts as written now. `real`: what it took, in
  /// place of what was reserved. The ticket is void.
  void end(ticket t, time_point now, const charge* real = nullptr);

  /// No byte was written: the charge comes back (not that of a request which was told to be written). The ticket is
  /// void.
  void release(ticket t);

  /// What is live, in each dimension.
  amounts live(time_point now);

  /// How long a charge stays live after it was written.
  duration span() const { return window_ + guard_; }

  duration window() const { return window_; }

  /// Entries of the log.
  std::size_t entries() const { return log_.size(); }

  // -- across a restart -----------------------------------------------------------

  /// A charge that is live still.
  struct saved_charge {
    duration left; ///< Until it expires.
    amounts amount;
  };

  /// All that is live and has an expiry, joined (rounding up) to about 250 entries.
  std::vector<saved_charge> save(time_point now);

  /// What is live and has none yet, because its request is not written or its answer has not ended.
  const amounts& pending() const { return pending_; }

  /// Charges `amount` until `expiry`.
  void restore(const amounts& amount, time_point expiry);

  // -- to another gate --------------------------------------------------------------

  /// Charges as well all that is live in `from` and has an expiry.
  void take_over(const rate_limiter& from);

  /// Takes over a charge whose attempt is under way in `from`, but for what `take_over` has copied already; `from`
  /// forgets the attempt.
  ticket take_over(rate_limiter& from, ticket t);

private:
  struct entry {
    time_point expiry;
    amounts amount{};
  };

  struct open_charge {
    charge reserved;
    time_point expiry{}; ///< Of the arriving part, once written.
    bool is_written = false;
  };

  void configure(const rate_limits& settings);
  ticket open(const open_charge& charged);
  duration longer_than(const rate_limiter& from) const;
  void expire(time_point now);
  entry& entry_at(time_point expiry);
  void log(const amounts& amount, time_point expiry);
  void amend(const amounts& reserved, const amounts& real, time_point expiry);
  time_point gate(const amounts& need, const amounts& ahead, time_point now) const;
  uint64_t room_for(std::size_t d, const charge& wanted, uint64_t ahead) const;
  duration time_for(std::size_t d, uint64_t amount) const;
  duration cost_of(std::size_t d, uint64_t amount) const;
  void repace(const amounts& taken, const amounts& real);

  std::array<std::optional<uint64_t>, 4> configured_{};
  std::array<std::optional<uint64_t>, 4> limits_{};
  uint64_t burst_;
  duration window_;
  duration guard_;
  std::deque<entry> log_;         ///< By expiry.
  amounts logged_{};              ///< Sum of `log_`.
  amounts pending_{};             ///< Sum of what is reserved and has no expiry yet.
  std::vector<open_charge> open_; ///< By ticket.
  std::vector<ticket> free_;
  std::array<pacer, 4> pacers_;
};

} // namespace modelforge::limits
