#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace modelforge::simulator {

/// Returns a vector of length 1 for `text`: the sum of one for each of its words, so that texts with the same words are
/// near each other. Depends on the seed, the text and `dimensions` (at least 1) alone.
std::vector<float> embedding_of(std::string_view text, uint64_t seed, uint32_t dimensions);

/// Appends `values` as a JSON array, each with as few digits as give it back exactly.
void append_json(std::string& out, const std::vector<float>& values);

/// Returns `values` as OpenAI encodes it: base64 of the numbers' four bytes, the lowest first.
std::string base64_of(const std::vector<float>& values);

} // namespace modelforge::simulator
