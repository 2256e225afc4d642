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
///
/// The order matters: a request that a fault refuses with 429 must not use up the limits, while one that fails in
/// another way counts as at a real provider. A request that a limit refuses gets no fault on top.
class gatekeeper {
public:
  gatekeeper(const options& settings, clock::time_point start) : faults_(settings, start), limits_(settings) {}

  /// Takes over faults and limits; what was counted so far stays.
  void configure(const options& settings) {
    faults_.configure(settings);
    limits_.configure(settings);
  }

  /// Decides about a request that arrived `now`; the texts are the client's headers and may be empty.
  decision decide(clock::time_point now, std::string_view request_id, std::string_view attempt, uint32_t prompt_tokens,
                  std::optional<uint32_t> max_tokens, bool is_stream) {
    decision result;
    auto drawn = faults_.draw(now, request_id, attempt);
    result.injected = drawn.what;
    result.place = drawn.place;
    result.effect = is_stream ? result.injected : without_stream(result.injected);
    if (is_refusal(result.injected))
      return result;
    result.tokens = limits_.charge(prompt_tokens, max_tokens);
    result.limits = limits_.admit(now, result.tokens);
    result.is_admitted = result.limits.is_admitted();
    if (!result.is_admitted)
      result.injected = result.effect = fault::none;
    return result;
  }

  /// The limits themselves: for headers, and for output that counts when it is sent.
  limiter& limits() { return limits_; }

private:
  fault_plan faults_;
  limiter limits_;
};

} // namespace modelforge::simulator
