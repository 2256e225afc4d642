#pragma once

#include <cstdint>
#include <string_view>

namespace modelforge::simulator {

/// Spreads `bits`: the finalizer of SplitMix64 (Steele, Lea, Flood, 2014).
constexpr uint64_t mix(uint64_t bits) {
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb;
  return bits ^ (bits >> 31);
}

/// Hashes `text` onto `basis` (FNV-1a, then mixed): the same on every machine, unlike std::hash.
constexpr uint64_t hash(std::string_view text, uint64_t basis) {
  uint64_t state = basis ^ 0xcbf29ce484222325;
  for (unsigned char c : text)
    state = (state ^ c) * 0x100000001b3;
  return mix(state + text.size());
}

/// SplitMix64: the same sequence on every machine, unlike the standard's distributions.
class random_source {
public:
  /// Begins the sequence of that seed; copies go on independently from where they are.
  explicit constexpr random_source(uint64_t seed) : state_(seed) {}

  /// Returns the next 64 bits.
  constexpr uint64_t next() { return mix(state_ += 0x9e3779b97f4a7c15); }

  /// Returns a number from 0 to `bound` - 1, or 0 when `bound` is 0.
  constexpr uint64_t below(uint64_t bound) { return bound == 0 ? 0 : next() % bound; }

  /// Returns a number in [0, 1).
  constexpr double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }

private:
  uint64_t state_;
};

} // namespace modelforge::simulator
