#pragma once

#include "cluster/pace.hpp"
#include "cluster/store.hpp"

#include <optional>
#include <random>

namespace modelforge::cluster {

/// Gets a lease, keeps it alive, and says until when it surely lasts.
///
/// It is renewed at a third of its ttl, counted from the sending of the last renewal that was answered, and may be gone
/// by its end, counted from there, too: the store began to count later than we sent. `good_until` is two thirds of it,
/// so that what is on its way by then arrives before, even if clocks run at different speeds.
///
/// A plain class: `now` comes as an argument and never goes back.
class kept_lease {
public:
  /// A lease of this ttl is asked for; at least 1 s.
  kept_lease(std::chrono::seconds ttl, time_point now);

  /// What is to be asked now, `grant_lease` or `renew_lease`; empty: nothing. Who asks says `asked`.
  std::optional<question> wanted(time_point now) const;

  void asked(time_point now) { pace_.asked(now); }

  /// When `wanted` has something.
  time_point wake_at() const;

  /// The answer to a question that went out at `sent`. False: it cannot be, and nothing is changed.
  bool granted(const lease_granted& told, time_point sent, time_point now);
  bool renewed(const lease_renewed& told, time_point sent, time_point now);

  void failed(time_point now, std::mt19937_64& random, bool hurry) { pace_.failed(now, random, hurry); }

  /// It is no more.
  void lost(time_point now);

  /// 0: there is none.
  lease_id id() const { return id_; }

  /// `time_point::min()`: there is none.
  time_point good_until() const { return id_ == 0 ? time_point::min() : renewed_ + ttl_ * 2 / 3; }

  bool is_good(time_point now) const { return now < good_until(); }

  /// How long it is asked for.
  std::chrono::seconds asked_ttl() const { return asked_ttl_; }

  /// A third of it: how often a store is asked by those who wait.
  duration third() const { return duration{asked_ttl_} / 3; }

private:
  bool is_due(time_point now) const;

  std::chrono::seconds asked_ttl_;
  pace pace_;
  lease_id id_ = 0;
  duration ttl_{0};      ///< The shortest of what was asked for and what was told.
  time_point renewed_{}; ///< The latest sending that was answered.
};

} // namespace modelforge::cluster
