#pragma once

#include "cluster/pace.hpp"
#include "cluster/store.hpp"
#include "limits/charge.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace modelforge::cluster {

/// When an owner saves what it has used of its limits into the store, and what it may use before the next time, so that
/// whoever owns the provider next never allows what was used already.
///
/// A snapshot counts what is charged, and beforehand a part of each limit, which may be charged once the snapshot is
/// saved: its allowance. While a second one is under way, the store may have the one or the other, so what is charged
/// has to fit into both. There is one under way at a time; it is sent again, the same, until it is known to be saved:
/// it replaces only the snapshot before it, so no late one takes the place of a newer one, and only under our epoch.
///
/// What the next owner reads it counts as charged: what was live for the rest of its time, and what was open (under way
/// or allowed) for a whole window from then on. So it does not exceed a limit, and has at most an allowance less.
///
/// A plain class: `now` comes as an argument and never goes back.
class reserved_window {
public:
  struct lane {
    limits::amounts limit{}; ///< Within one window; 0: none.
  };

  /// Of an owner that has just begun, under this epoch. `base`: the revision of the snapshot that it has read then; 0:
  /// there was none.
  reserved_window(std::vector<lane> lanes, revision epoch, revision base, time_point now, uint64_t seed);

  /// Whether so much may be charged on the lane of that number; if not, the next snapshot is to allow it. What is more
  /// than a limit counts as that.
  bool admits(std::size_t number, const limits::amounts& wanted);

  void charge(std::size_t number, const limits::amounts& taken);

  /// A new snapshot is due: make it, with these allowances by lane added to what is open, and say `made`, before
  /// anything else is charged.
  std::optional<std::vector<limits::amounts>> wanted(time_point now) const;

  void made(std::string bytes);

  /// What is to be saved now.
  struct save {
    uint64_t number = 0; ///< Never used twice.
    revision epoch = 0;
    revision base = 0;
    std::string bytes;
  };

  std::optional<save> next(time_point now);

  /// When `next` may have something.
  std::optional<time_point> wake_at() const;

  void on_saved(uint64_t number, revision at, time_point now);

  /// It was not saved, because the snapshot in the store is that one. Under another owner's epoch nothing is charged
  /// any more.
  void on_other(uint64_t number, bool is_owner, revision at, const std::string& bytes, time_point now);

  void on_failure(uint64_t number, time_point now);

  /// Nothing is charged any more: the last snapshot allows nothing.
  void finish() { is_finishing_ = true; }

  /// The last snapshot is saved.
  bool is_finished() const { return is_finishing_ && saved_ && saved_->is_last && !under_way_; }

  /// Somebody else owns the provider.
  bool is_lost() const { return is_lost_; }

private:
  /// What a snapshot still allows, by lane.
  struct allowance {
    std::vector<limits::amounts> left;
    bool is_last = false;
  };

  struct version {
    std::string bytes;
    allowance allows;
    uint64_t sent_as = 0; ///< The latest number.
    uint64_t first_number = 0;
  };

  std::vector<limits::amounts> allowances() const;
  bool is_low() const;
  void confirm(revision at, time_point now);

  std::vector<lane> lanes_;
  revision epoch_;
  revision base_;
  pace pace_;
  std::mt19937_64 random_;
  std::vector<limits::amounts> wanted_; ///< By lane: what the next snapshot has to allow.
  bool is_short_ = true;                ///< Something was not admitted.
  bool is_finishing_ = false;
  bool is_lost_ = false;
  std::optional<allowance> saved_;
  std::optional<version> under_way_;
  uint64_t last_number_ = 0;
};

/// When a candidate has first seen each snapshot, which is no earlier than it was made: so old it is at least, whatever
/// the clocks of machines say. A plain class: holds no clock.
class window_follower {
public:
  void saw(revision at, time_point now) {
    if (at > at_) {
      at_ = at;
      seen_ = now;
    }
  }

  /// How old the snapshot of that revision is at least.
  duration age(revision at, time_point now) const { return at == at_ && at != 0 ? now - seen_ : duration{0}; }

private:
  revision at_ = 0;
  time_point seen_{};
};

} // namespace modelforge::cluster
