#pragma once

#include "base/trace_context.hpp"
#include "log/request_record.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>

namespace modelforge::trace {

/// Decides which requests have spans, and gives them their ids: a caller's trace goes on where that is recorded, and of
/// requests without one a share begins a trace.
///
/// A plain class.
class tracer {
public:
  explicit tracer(uint64_t seed) : random_(seed) {}

  /// Of requests that come without a trace, this share is traced from now on; empty: nothing is traced.
  void set_share(std::optional<double> share) { share_ = share; }

  /// The place of a request that comes with this `traceparent` and `tracestate`; empty: it has no spans. A
  /// `traceparent` that is none counts as no trace.
  std::optional<log::trace_part> place(std::string_view traceparent, std::string_view state) {
    if (!share_)
      return {};
    auto caller = read_traceparent(traceparent);
    if (caller && !caller->is_sampled())
      return {};
    log::trace_part result;
    if (caller) {
      result.context = *caller;
      result.parent = caller->span;
      if (state.size() <= max_trace_state)
        result.state = state;
    } else {
      if (!is_drawn())
        return {};
      result.context = {draw(), draw(), 0, trace_context::sampled | trace_context::random};
    }
    result.context.span = draw();
    return result;
  }

private:
  bool is_drawn() { return *share_ >= 1 || std::uniform_real_distribution<double>{}(random_) < *share_; }

  /// Not 0.
  uint64_t draw() {
    auto result = random_();
    return result != 0 ? result : 1;
  }

  std::mt19937_64 random_;
  std::optional<double> share_;
};

} // namespace modelforge::trace
