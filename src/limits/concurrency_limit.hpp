#pragma once

#include "limits/charge.hpp"

#include <array>
#include <optional>

namespace modelforge::limits {

struct concurrency_settings {
  uint32_t max = 16;    ///< The limit stays within 1 and this.
  uint32_t initial = 4; ///< To begin with.
};

/// How many requests a lane keeps in flight at a provider that publishes no limits: as many as it works on at once, and
/// hardly any that wait there.
///
/// Follows TCP Vegas (Brakmo, O'Malley and Peterson, 1994). The stretch is the time now over the unloaded time; of k
/// requests in flight, k x (1 - 1 / stretch) wait, and the limit moves until about one does (sqrt(limit) / 3 of many).
/// That is exact for whole answers, both where requests queue before a number of places and where all of them slow down
/// together. The time to a stream's first token is a small part of the time it holds its place, so a queue stretches it
/// more, and the formula is an upper bound with the same zero. While fewer than half the limit are in flight it does
/// not grow (as in Netflix's concurrency-limits). Growth quickens when nobody has waited for some windows.
///
/// The unloaded time is a line, fixed + per token, since a short answer takes longer per token than a long one: for
/// unary calls over output tokens, for a stream's first token over prompt tokens, each kind its own. Now and then it is
/// measured again at a lower limit (as in Envoy's adaptive concurrency), so that neither a slower model nor a busy hour
/// stays in it; that costs 2 to 4 % of the throughput. If the time has changed, and falls with the requests in flight,
/// then some wait at the lower limit too: that becomes the limit, and a still lower one is tried.
///
/// Times are averaged over windows of requests that began after the limit last moved, until they are known well enough
/// to tell whether one waits; one request counts at most four times what is expected. An overload signal lowers the
/// limit to three quarters, at most once per round trip.
///
/// Part of `lane`, where the settings say `adaptive`. A plain class: holds no clock. `now` never goes back. Every call
/// is O(1) and allocates nothing.
class concurrency_limit {
public:
  enum class kind : uint8_t {
    unary,  ///< The time is that of the whole answer.
    stream, ///< The time is that until the first token.
  };

  /// A request that was answered, or met overload.
  struct sample {
    concurrency_limit::kind kind = concurrency_limit::kind::unary;
    duration took{};
    uint64_t input_tokens = 0;         ///< Used for streams; 0: not known.
    uint64_t output_tokens = 0;        ///< Used for unary calls; 0: not known.
    bool overloaded = false;           ///< Refused for load without a named wait (429, 503, 529), or timed out.
    uint32_t in_flight = 0;            ///< When it began, itself included.
    std::optional<time_point> begun{}; ///< Empty: `took` ago. To be set where a stream is told at its end.
  };

  explicit concurrency_limit(const concurrency_settings& settings);

  /// Requests that may be in flight. After it was lowered more may be.
  uint32_t limit() const;

  /// Takes in a good answer or an overload signal. Other failures say nothing of load: they are not to be told.
  void on_end(const sample& measured, time_point now);

  // -- for status -----------------------------------------------------------------

  /// How many requests waited at the provider, as last estimated.
  double waiting() const { return waiting_; }

  /// Whether the unloaded time is being measured, at a lower limit.
  bool is_measuring() const { return lowered_ > 0; }

private:
  /// Of the requests of one kind.
  struct sums {
    double n = 0;
    double tokens = 0;
    double seconds = 0;
    double tokens_squared = 0;
    double tokens_seconds = 0;
  };

  /// The unloaded time of a request.
  struct line {
    double fixed = 0;     ///< Seconds.
    double per_token = 0; ///< Seconds.

    bool is_known() const { return fixed + per_token > 0; }
    double time_for(double n, double tokens) const { return fixed * n + per_token * tokens; }
  };

  struct window {
    std::array<sums, 2> by_kind;
    double n = 0;
    double in_flight = 0; ///< Sum.
    double known = 0;     ///< Requests of which an unloaded time is known, and of these:
    double stretch = 0;   ///< sum,
    double stretch_squared = 0;

    double mean_stretch() const { return known > 0 ? stretch / known : 1; }
    double relative_error() const;
  };

  /// What a window tells.
  struct reading {
    double stretch = 1;
    double in_flight = 0; ///< Mean.
  };

  void overload(time_point begun, time_point now);
  void add(const sample& measured);
  bool is_complete() const;
  void finish_window();
  void finish_measurement();
  bool is_due() const;
  double lower() const;
  void step();
  reading read() const;
  void learn(bool blend);
  void learn_kind(std::size_t i, bool blend);

  double max_;
  double level_;       ///< The limit before rounding.
  double lowered_ = 0; ///< The limit while measuring, else 0.
  double waiting_ = 0;
  window window_;
  reading last_;                 ///< At the limit, or at the last lower one of a series.
  std::array<line, 2> unloaded_; ///< By kind.
  std::array<sums, 2> history_;  ///< By kind: for the line's shape; fading; times in units of each window's mean.
  bool sure_ = false;            ///< Whether the last measurement confirmed the unloaded time.
  double measured_level_ = 0;    ///< The limit at the last measurement.
  uint32_t windows_ = 0;         ///< Since the last measurement.
  uint32_t quiet_ = 0;           ///< Windows in a row in which nobody waited.
  time_point moved_{};           ///< When the limit last changed.
  time_point overloaded_{};      ///< When overload last lowered it.
};

} // namespace modelforge::limits
