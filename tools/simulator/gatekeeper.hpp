#pragma once

#include "tools/simulator/faults.hpp"
#include "tools/simulator/limits.hpp"

namespace modelforge::simulator {

/// What was decided about a valid request, whatever the dialect.
struct decision {
  fault injected = fault::none; ///< None when a limit refused the request.
  fault effect = fault::none;   ///< What it does to this answer: `injected`, or what stands for it.
  uint64_t place = 0;           ///< Of the fault in a stream.
  ruling limits;
  bool is_admitted = false; ///< Counted: neither a limit nor a fault of 429 refused it.
  uint64_t tokens = 0;      ///< What was counted on its arrival.
};

/// Draws each request's fault, then holds it to the limits.
class gatekeeper {
public:
  gatekeeper(const options& settings, clock::time_point start) : faults_(settings, start), limits_(settings) {}

  void configure(const options& settings) {
    faults_.configure(settings);
    limits_.configure(settings);
  }

  /// Decides about a request that arrived `now`; the texts are the client's headers and may be empty.
  decision decide(clock::time_point now, std::string_view request_id, std::string_view attempt, uint32_t prompt_tokens,
                  std::optional<uint32_t> max_tokens, bool is_stream) {
    decision x;
    auto drawn = faults_.draw(now, request_id, attempt);
    x.injected = drawn.what;
    x.place = drawn.place;
    x.effect = is_stream ? x.injected : without_stream(x.injected);
    if (is_refusal(x.injected))
      return x;
    x.tokens = limits_.charge(prompt_tokens, max_tokens);
    x.limits = limits_.admit(now, x.tokens);
    x.is_admitted = x.limits.is_admitted();
    if (!x.is_admitted)
      x.injected = x.effect = fault::none;
    return x;
  }

  limiter& limits() { return limits_; }

private:
  fault_plan faults_;
  limiter limits_;
};

} // namespace modelforge::simulator
