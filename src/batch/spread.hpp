#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace modelforge::batch {

/// How much one of several providers has to do.
struct provider_load {
  double weight = 0;                          ///< Its share beside the others'; 0: by what it has to do.
  uint64_t in_flight = 0;                     ///< Of this batch.
  uint64_t slots = 1;                         ///< What it sends at a time.
  std::chrono::nanoseconds predicted_wait{0}; ///< Of a request that comes now.
  bool out = false;                           ///< Takes nothing now: it failed a moment ago, or it is not wanted.
};

/// Chooses who gets the next item: by weights (smooth weighted round robin, as nginx does it) where one is given, else
/// the provider with the least predicted wait, and among equal ones the one that uses the least part of its slots.
class spread {
public:
  /// Returns an index, or nothing where all are out.
  std::optional<std::size_t> pick(const std::vector<provider_load>& loads) {
    credit_.resize(loads.size());
    std::optional<std::size_t> best;
    double sum = 0;
    for (std::size_t i = 0; i < loads.size(); ++i)
      if (!loads[i].out) {
        sum += loads[i].weight;
        credit_[i] += loads[i].weight;
        if (!best || better(loads, i, *best))
          best = i;
      }
    if (best)
      credit_[*best] -= sum;
    return best;
  }

private:
  bool better(const std::vector<provider_load>& loads, std::size_t x, std::size_t y) const {
    auto& a = loads[x];
    auto& b = loads[y];
    if (a.weight > 0 || b.weight > 0)
      return credit_[x] > credit_[y];
    if (a.predicted_wait != b.predicted_wait)
      return a.predicted_wait < b.predicted_wait;
    return a.in_flight * b.slots < b.in_flight * a.slots;
  }

  std::vector<double> credit_;
};

} // namespace modelforge::batch
