#pragma once

#include "dispatch/settings.hpp"
#include "limits/lane.hpp"

#include <modelforge/messages/chat_request.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace modelforge {

/// An attempt under way, as far as lanes are concerned.
struct lane_flight {
  static constexpr uint32_t no_key = UINT32_MAX;

  limits::lane* lane = nullptr;
  uint32_t key = 0; ///< `no_key`: its credential is no more.
  limits::lane::attempt attempt;
};

/// What a lane has charged, with what it may charge before the next journal.
struct lane_journal {
  uint32_t group = 0;
  uint32_t key = 0;
  std::vector<limits::rate_limiter::saved_charge> live;
  limits::amounts open{}; ///< Under way, or allowed before the next journal: counts as used when it is taken over.
};

/// What has become of a lane, for who looks after the program.
struct lane_event {
  enum class change : uint8_t {
    opened,    ///< Its breaker: nothing goes.
    half_open, ///< A request tries whether the provider is well again.
    closed,
    paused,      ///< The provider refuses for load, and nothing goes for `wait`.
    key_refused, ///< Its credential.
  } what{};
  uint32_t group = 0;
  uint32_t key = 0;
  limits::duration wait{}; ///< `opened`, `paused`: how long nothing goes.
  uint32_t failures = 0;   ///< `opened`: in a row.
};

/// A dispatcher's lanes: one for each credential in each group of models. Answers what concerns all lanes of a group;
/// what concerns one is the lane's. Lanes stay where they are in memory until a reload takes them over
/// (`lane_succession`). Called by the dispatcher alone; holds no clock.
class lane_table {
public:
  using time_point = limits::time_point;
  using duration = limits::duration;
  using list = std::vector<std::unique_ptr<limits::lane>>; ///< By group, then by key.

  explicit lane_table(const dispatcher_settings& settings);

  uint32_t groups() const { return static_cast<uint32_t>(lanes_.size() / keys_); }
  uint32_t keys() const { return keys_; }
  uint32_t size() const { return static_cast<uint32_t>(lanes_.size()); }
  uint32_t number_of(uint32_t group, uint32_t key) const { return group * keys_ + key; }
  uint32_t key_of(uint32_t number) const { return number % keys_; }
  limits::lane& at(uint32_t group, uint32_t key) const { return *lanes_[number_of(group, key)]; }
  limits::lane& operator[](uint32_t number) const { return *lanes_[number]; }
  bool contains(const limits::lane* lane) const;

  // -- what becomes of them ---------------------------------------------------------

  /// A lane as it was before something happened to it.
  struct view {
    uint64_t changes = 0;
    uint32_t failures = 0;
    time_point paused_until{};
  };

  static view look(const limits::lane& lane) {
    return {lane.breaker().changes(), lane.breaker().consecutive_failures(), lane.paused_until()};
  }

  /// Notes what has changed about a lane since then.
  void compare(const limits::lane& lane, const view& before, time_point now) {
    if (lane.breaker().changes() != before.changes || lane.paused_until() > before.paused_until)
      note(lane, before, now);
  }

  /// The lane's credential was refused.
  void note_refused_key(const limits::lane& lane);

  /// What has been noted since the last call, in order; of very many the first.
  std::vector<lane_event> collect_events() { return std::exchange(events_, {}); }

  /// The same lanes take over other settings.
  void reconfigure(const dispatcher_settings& settings);

  /// Takes all lanes out, or puts others in their place: for `lane_succession`.
  list release() { return std::exchange(lanes_, {}); }
  void assign(list lanes, uint32_t keys);

  /// A group's settings as its lanes have them.
  static limits::lane_settings settings_of(const dispatcher_settings& settings, uint32_t group);

  // -- of a group -----------------------------------------------------------------

  struct open_state {
    bool all = false;               ///< No lane would take a request.
    std::optional<duration> wait{}; ///< Until the next probe; empty: one is under way.
  };

  /// Whether every lane that could take a request has its breaker open, or is trying already.
  open_state open(uint32_t group, time_point now) const;

  struct excess {
    limits::dimension over{};
    uint64_t limit = 0; ///< Within one window.
    uint64_t wanted = 0;
  };

  /// What no lane's configured limits allow in a whole window; empty: one's do.
  std::optional<excess> over_limit(uint32_t group, const limits::amounts& least) const;

  struct choice {
    uint32_t lane = 0; ///< Its number.
    limits::lane::readiness when{};
    time_point told = time_point::max(); ///< On no lane earlier, if what the provider told is right.
  };

  /// The lane that is ready first; among those that are ready now, the one with the fewest in flight.
  choice choose(uint32_t group, const limits::charge& cost, priority rank, std::string_view model,
                time_point now) const;

  /// When the request could go on the lane that is ready first, as far as limits and pauses tell.
  time_point predict(uint32_t group, const limits::lane::forecast& request, time_point now) const;

  /// Whether `predict` certainly says a time before `deadline`; quick.
  bool goes_before(time_point deadline, uint32_t group, const limits::lane::forecast& request, time_point now) const;

  // -- of a key -------------------------------------------------------------------

  /// Whether another credential than `key` could take a request.
  bool has_other_key(uint32_t group, uint32_t key, time_point now) const;

  /// Leaves a credential alone until then.
  void take_out(uint32_t key, time_point until);

  // -- across a restart -------------------------------------------------------------

  /// Counts what was charged `age` ago. `slack`: how much longer it may have been live than its window says.
  void restore(const std::vector<lane_journal>& saved, duration age, duration slack, time_point now);

  /// Counts every window as full.
  void fill_windows(time_point now);

private:
  std::optional<uint32_t> find(const limits::lane& lane) const;
  void note(const limits::lane& lane, const view& before, time_point now);
  void add_event(const limits::lane& of, lane_event happened);

  uint32_t keys_;
  list lanes_;
  std::vector<lane_event> events_;
};

} // namespace modelforge
