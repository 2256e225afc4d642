#pragma once

#include "stream/broadcast.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace modelforge::test {

using stream::duration;
using stream::time_point;

/// What the server says in one piece. The text belongs to the world's prose.
struct said {
  piece_kind kind = piece_kind::text;
  std::string_view text;
  uint32_t call = 0;
  std::string call_id; ///< Set: the call begins.
  std::string call_name;
};

/// Watches what is done with a broadcast and what that tells, and judges it by definitions of its own: it keeps every
/// attempt's whole text, each reader's place and demand, the credit that is out, and when each timer is due.
class oracle {
public:
  explicit oracle(const stream::broadcast_settings& x) : settings_(x) {}

  // -- what was done ------------------------------------------------------------------

  void joined(uint32_t id, const subscription& x);
  void refused(const subscription& x, const failure& why);
  void granted(uint32_t id, uint64_t chunks);
  void left(uint32_t id, time_point now);
  void begun(time_point now);
  void rewound();
  void came(const said& x);
  void received(std::size_t bytes, std::size_t events, std::size_t largest_event, uint64_t tokens, time_point now);
  void attempt_ended() { live_ = false; }
  void finished(const std::variant<completion, failure>& how);
  void cut(const failure& why);

  // -- what it told -------------------------------------------------------------------

  void told(const stream::broadcast::step& x, time_point now);

  /// It has told all that there is at `now`.
  void settled(const stream::broadcast& x, time_point now);

  // -- the judgement ------------------------------------------------------------------

  /// The first rule that was broken; empty: none.
  const std::string& problem() const { return problem_; }

  /// How often things happened, so that a test can see that they do.
  const std::map<std::string, uint64_t>& counts() const { return counts_; }

  bool live() const { return live_; }
  bool ended() const { return end_.has_value(); }
  bool any_event() const { return any_event_; }

private:
  struct reader {
    slow_policy when_slow = slow_policy::wait;
    uint64_t next = 0;
    uint64_t demand = 0;
    uint64_t tokens = 0;
    uint64_t past = 0;       ///< Pieces that were there when it joined.
    uint64_t past_bytes = 0; ///< It was so far behind then; 0 once it has caught up.
    std::optional<time_point> stuck_since;
  };

  void fail(const std::string& rule) {
    if (problem_.empty())
      problem_ = rule;
  }
  void take(const stream::broadcast::deliver& x, time_point now);
  void take(const stream::broadcast::conclude& x, time_point now);
  void take(const stream::broadcast::credit& x, time_point now);
  void take(const stream::broadcast::give_up& x, time_point now);
  void take(const stream::broadcast::enough& x, time_point now);
  void take(const stream::broadcast::abandon& x, time_point now);
  void check_pieces(const stream_chunk& x, bool joined);
  void check_size(const stream_chunk& x);
  void check_done(const reader& r, const stream_done& x);
  void check_failed(const reader& r, const stream_failed& x, time_point now);
  void check_reader(reader& r, time_point now);
  void check_attempt(time_point now);
  void check_bounds(const stream::broadcast& x);
  void check_wake(const stream::broadcast& x, time_point now);
  void gone(time_point now);
  bool undecided() const { return !live_ && !end_ && !handed_over_; }
  bool wants_abandon(time_point now) const;
  std::optional<time_point> timer_due() const;
  std::optional<time_point> rate_due() const;
  bool too_few_bytes(time_point now) const;

  /// What the pieces from there on take in memory at least and at most.
  uint64_t min_behind(uint64_t piece) const { return least_.back() - least_[piece]; }
  uint64_t max_behind(uint64_t piece) const { return most_.back() - most_[piece]; }

  stream::broadcast_settings settings_;
  std::string problem_;
  std::map<std::string, uint64_t> counts_;

  std::vector<said> pieces_;
  std::vector<uint64_t> least_{0}; ///< Sums.
  std::vector<uint64_t> most_{0};
  uint64_t tokens_ = 0;
  uint64_t largest_event_ = 0;
  std::map<uint32_t, reader> readers_;
  bool anyone_ = false; ///< Has joined.
  bool handed_over_ = false;
  bool abandoned_ = false;
  bool cut_ = false;
  std::optional<std::variant<completion, failure>> end_;
  std::optional<time_point> alone_since_;

  bool live_ = false;
  bool any_event_ = false;
  bool paused_ = false;
  uint64_t credit_ = 0; ///< That is out.
  time_point begun_{};
  std::optional<time_point> first_piece_;
  time_point moved_{}; ///< The last event, or when the transfer was let go on.
  time_point rate_from_{};
  uint64_t rate_bytes_ = 0;
};

} // namespace modelforge::test
