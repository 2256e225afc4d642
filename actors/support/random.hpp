#pragma once

#include <cstdint>
#include <random>

namespace modelforge {

/// 64 bits that no other program has: seeds and names. (One number of `std::random_device` has 32.)
inline uint64_t random_number() {
  std::random_device source;
  auto high = uint64_t{source()};
  return high << 32 | source();
}

} // namespace modelforge
