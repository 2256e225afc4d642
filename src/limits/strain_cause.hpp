#pragma once

#include <cstdint>

namespace modelforge::limits {

/// Whether a server's refusals for load (503, 529, without a wait) come of how many requests are in flight, or strike
/// at random: a gateway that loses one in ten, a server that others share.
///
/// A server that takes k at a time refuses the share 1 - k/n of n in flight. So where less than a third is refused, k
/// is at least two thirds of n, and at half of n nothing is refused any more. If the number has fallen by half (or is
/// 1), no more than a third is refused, and at least a third of the refusals came although fewer were in flight than at
/// the one before, the number is not the cause: refusals then count for nothing as long as their share stays about what
/// it was. Were it not so, any share above one in 17 would hold the level at 1 for good (`parallel_limit` falls by one
/// with each refusal, and rises by one with 16 answers).
///
/// What was found holds for `validity` times as many outcomes as it took to find it; so a wrong belief costs a bounded
/// share of refusals, for a bounded time, and finding out again costs little.
///
/// A plain class without a clock; every call is O(1). Used by `parallel_limit`.
class strain_cause {
public:
  /// A request was answered.
  void answered();

  /// One was refused for load, with `in_flight` at once (1 or more). Returns whether that may be the cause.
  bool refused(uint32_t in_flight);

  /// Refusals strike at random, as far as is known.
  bool is_random() const { return left_ > 0; }

private:
  static constexpr uint32_t enough = 6;  ///< Unexplained refusals: fewer prove nothing.
  static constexpr uint32_t min_gap = 2; ///< Answers before each of these, on average.
  static constexpr uint32_t validity = 100;
  static constexpr double weight = 1. / 32; ///< Of the latest outcome in `share_`.
  static constexpr double slack = 0.12; ///< With half of the share: three and a half standard deviations of `share_`.

  void begin(uint32_t in_flight);
  void count(bool is_refusal);

  uint32_t before_ = 0;      ///< 0: no refusal yet.
  uint32_t last_ = 0;        ///< In flight, at the latest refusal.
  uint64_t answers_ = 0;     ///< Since the first of them.
  uint64_t gap_ = 0;         ///< Answers since the latest one.
  uint64_t gaps_ = 0;        ///< Before unexplained ones, in all.
  uint64_t explained_ = 0;   ///< Refusals with as many in flight as at the one before, or more.
  uint64_t unexplained_ = 0; ///< With fewer, or alone.
  uint64_t left_ = 0;        ///< Outcomes for which the belief holds.
  double believed_ = 0;      ///< The share that strikes at random.
  double share_ = 0;         ///< Of late; only while `is_random`.
};

} // namespace modelforge::limits
