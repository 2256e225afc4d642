#include "limits/concurrency_limit.hpp"

#include <algorithm>
#include <cmath>

namespace modelforge::limits {

namespace {

/// What an overload signal leaves of the limit.
constexpr double after_overload = 0.75;
constexpr double outlier = 4;     ///< The most that one request counts, in units of what is expected.
constexpr double min_window = 10; ///< Requests in a window.
constexpr double fading = 0.7;    ///< Of the history, with each window learned.
constexpr uint32_t patience = 5;  ///< Windows in which nobody waits before growth quickens.
constexpr double cost = 1.0 / 60; ///< Of measuring when nothing changes, as a share of the throughput.

double seconds(duration time) {
  return std::chrono::duration<double>(time).count();
}

/// How many should wait: enough to see that there is no more to gain.
double target(double limit) {
  return std::max(0.75, std::sqrt(limit) / 3);
}

} // namespace

concurrency_limit::concurrency_limit(const concurrency_settings& settings)
  : max_(std::max(1u, settings.max)), level_(std::clamp<double>(settings.initial, 1, max_)) {}

uint32_t concurrency_limit::limit() const {
  return static_cast<uint32_t>(is_measuring() ? lowered_ : std::round(level_));
}

void concurrency_limit::on_end(const sample& measured, time_point now) {
  auto begun = measured.begun.value_or(now - measured.took);
  if (measured.overloaded)
    return overload(begun, now);
  if (begun < moved_)
    return;
  add(measured);
  if (!is_complete())
    return;
  auto before = limit();
  if (is_measuring())
    finish_measurement();
  else
    finish_window();
  window_ = {};
  if (limit() != before)
    moved_ = now;
}

void concurrency_limit::overload(time_point begun, time_point now) {
  if (begun <= overloaded_)
    return;
  overloaded_ = moved_ = now;
  level_ = std::max(1.0, std::min<double>(level_, limit()) * after_overload);
  lowered_ = 0;
  quiet_ = 0;
  window_ = {};
}

// -- windows ----------------------------------------------------------------------

double concurrency_limit::window::relative_error() const {
  if (known == 0)
    return 0;
  auto mean = mean_stretch();
  return std::sqrt(std::max(0.0, stretch_squared / known - mean * mean) / known) / mean;
}

// Adds a request to the window's sums. Once the unloaded time is known its stretch is bounded (`outlier`), so that one
// odd request moves the mean little.
void concurrency_limit::add(const sample& measured) {
  auto i = static_cast<std::size_t>(measured.kind);
  auto tokens =
    std::max(1.0, static_cast<double>(measured.kind == kind::unary ? measured.output_tokens : measured.input_tokens));
  auto took = std::max(1e-9, seconds(measured.took));
  if (unloaded_[i].is_known()) {
    auto expected = unloaded_[i].time_for(1, tokens);
    auto max_stretch = outlier * std::max({1.0, last_.stretch, window_.mean_stretch()});
    auto stretch = std::min(took / expected, max_stretch);
    took = stretch * expected;
    ++window_.known;
    window_.stretch += stretch;
    window_.stretch_squared += stretch * stretch;
  }
  auto& sum = window_.by_kind[i];
  ++sum.n;
  sum.tokens += tokens;
  sum.seconds += took;
  sum.tokens_squared += tokens * tokens;
  sum.tokens_seconds += tokens * took;
  ++window_.n;
  window_.in_flight += measured.in_flight;
}

// Complete when the mean stretch is known well enough to tell one waiting request from none; a very noisy window ends
// after eight times its least size.
bool concurrency_limit::is_complete() const {
  auto min_requests = std::max(min_window, 2 * std::round(level_));
  if (window_.n < min_requests)
    return false;
  auto in_flight = std::max(1.0, window_.in_flight / window_.n);
  return window_.relative_error() <= std::min(0.05, 0.4 * target(level_) / in_flight) || window_.n >= 8 * min_requests;
}

// The mean over the kinds, each weighed by its requests. A kind without an unloaded time tells nothing yet.
concurrency_limit::reading concurrency_limit::read() const {
  double sum = 0, n = 0;
  for (std::size_t i = 0; i < unloaded_.size(); ++i) {
    auto& seen = window_.by_kind[i];
    if (!unloaded_[i].is_known() || seen.n == 0)
      continue;
    sum += seen.n * seen.seconds / unloaded_[i].time_for(seen.n, seen.tokens);
    n += seen.n;
  }
  return {n > 0 ? sum / n : 1, window_.in_flight / window_.n};
}

// The first window of a kind is taken for unloaded: the limit is still low then. What that got wrong, the next
// measurement corrects.
void concurrency_limit::finish_window() {
  for (std::size_t i = 0; i < unloaded_.size(); ++i) {
    if (unloaded_[i].is_known() || window_.by_kind[i].n == 0)
      continue;
    learn_kind(i, false);
    sure_ = false;
  }
  last_ = read();
  if (last_.stretch < 0.9) { // quicker than unloaded: the server is another now
    learn(false);
    sure_ = false;
    last_.stretch = 1;
  }
  if (limit() == 1) // alone: none of ours can wait
    last_.stretch = 1;
  waiting_ = std::max(0.0, last_.in_flight * (1 - 1 / last_.stretch));
  quiet_ = waiting_ > target(level_) / 2 ? 0 : quiet_ + 1;
  ++windows_;
  if (is_due())
    lowered_ = lower();
  else
    step();
}

// Steps are bounded to an eighth down and a quarter up, so that one odd window moves the limit little.
void concurrency_limit::step() {
  auto wanted = target(level_) - waiting_;
  if (wanted > 0 && last_.in_flight < level_ / 2)
    return;
  if (quiet_ > patience)
    wanted *= std::exp2(std::min(quiet_ - patience, 10u));
  level_ += std::clamp(wanted, -std::max(1.0, level_ / 8), std::max(1.0, level_ / 4));
  level_ = std::clamp(level_, 1.0, max_);
}

// -- the unloaded time ------------------------------------------------------------

double concurrency_limit::lower() const {
  double now = limit();
  return std::max(1.0, now - std::max(2.0, std::floor(std::sqrt(now))));
}

// A measurement is due when nothing has confirmed the unloaded time, when the limit has fallen far below that of the
// last one, or when enough windows have passed that its cost is a small share.
bool concurrency_limit::is_due() const {
  if (limit() == 1 || windows_ < 2 || waiting_ <= 0.75 * target(level_))
    return false;
  return !sure_ || level_ < 0.75 * measured_level_ || windows_ * cost >= 1 - lower() / limit();
}

// Ends a look at a lower limit. Where the stretch fell with the requests in flight, some waited at the lower limit too:
// that becomes the limit, and a still lower one is tried. Otherwise what was measured is the unloaded time, blended
// with the former where it hardly differs.
void concurrency_limit::finish_measurement() {
  auto now = read();
  auto changed = std::abs(now.stretch - 1) > std::max(0.15, 6 * window_.relative_error());
  auto in_flight_ratio = now.in_flight / last_.in_flight;
  auto stretch_ratio = now.stretch / last_.stretch; // near the former if some wait still, near 1 if none did before
  auto full = in_flight_ratio < 0.9 && stretch_ratio < 0.7 * in_flight_ratio + 0.3;
  if (full && changed) {
    level_ = lowered_;
    last_ = now;
    if (level_ > 1) {
      lowered_ = std::max(1.0, std::min(std::ceil(level_ * 2 / 3), level_ - 2));
      return;
    }
  }
  sure_ = !changed && !full;
  learn(std::abs(now.stretch - 1) <= 3 * window_.relative_error());
  measured_level_ = level_;
  last_.stretch = 1;
  lowered_ = 0;
  windows_ = 0;
}

void concurrency_limit::learn(bool blend) {
  for (std::size_t i = 0; i < unloaded_.size(); ++i)
    if (window_.by_kind[i].n > 0)
      learn_kind(i, blend);
}

// A least-squares line through the history, in which times are relative to each window's mean: so its shape outlives a
// change of speed, and only the scale is taken from the newest window. The slope stays between 0 and what makes `fixed`
// 0.
void concurrency_limit::learn_kind(std::size_t i, bool blend) {
  auto& fresh = window_.by_kind[i];
  auto& h = history_[i];
  h.n = fading * h.n + fresh.n;
  h.tokens = fading * h.tokens + fresh.tokens;
  h.tokens_squared = fading * h.tokens_squared + fresh.tokens_squared;
  h.tokens_seconds = fading * h.tokens_seconds + fresh.tokens_seconds * fresh.n / fresh.seconds;
  auto tokens = h.tokens / h.n;
  auto variance = h.tokens_squared / h.n - tokens * tokens;
  auto slope = 1 / tokens; // in units of the mean time: without evidence, all of it
  if (variance > 0.01 * tokens * tokens)
    slope = std::clamp((h.tokens_seconds / h.n - tokens) / variance, 0.0, slope);
  line shape{1 - slope * tokens, slope};
  auto goal = blend && unloaded_[i].is_known() ? (fresh.seconds + unloaded_[i].time_for(fresh.n, fresh.tokens)) / 2
                                               : fresh.seconds;
  auto scale = goal / shape.time_for(fresh.n, fresh.tokens);
  unloaded_[i] = {shape.fixed * scale, shape.per_token * scale};
}

} // namespace modelforge::limits
