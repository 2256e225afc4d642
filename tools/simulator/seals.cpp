#include "tools/simulator/seals.hpp"

#include "tools/simulator/random.hpp"
#include "tools/simulator/text.hpp"

#include <charconv>

// A seal is the number and a hash of it with the seed, both in hexadecimal digits. It is not cryptography: it only
// distinguishes what the simulator gave from what a client made up or changed.

namespace modelforge::simulator {

namespace {

constexpr std::string_view start = "Esim"; ///< Four characters: base64 goes by fours.

} // namespace

std::string sealed(uint64_t number, uint64_t seed) {
  return std::string(start) + hex(number) + hex(mix(number ^ mix(~seed)));
}

std::optional<uint64_t> unsealed(std::string_view text, uint64_t seed) {
  uint64_t number = 0;
  if (text.size() != start.size() + 32)
    return std::nullopt;
  auto digits = text.substr(start.size());
  std::from_chars(digits.data(), digits.data() + 16, number, 16);
  if (text != sealed(number, seed))
    return std::nullopt;
  return number;
}

} // namespace modelforge::simulator
