#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace modelforge::simulator {

/// Returns `number` as an opaque text that vouches for it, in base64's characters: a provider's signature.
std::string sealed(uint64_t number, uint64_t seed);

/// Returns what `sealed` with the same seed was made from.
std::optional<uint64_t> unsealed(std::string_view text, uint64_t seed);

} // namespace modelforge::simulator
