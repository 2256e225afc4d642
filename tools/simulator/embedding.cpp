#include "tools/simulator/embedding.hpp"

#include "tools/simulator/random.hpp"
#include "tools/simulator/text.hpp"

#include <bit>
#include <charconv>
#include <cmath>

namespace modelforge::simulator {

namespace {

constexpr std::size_t max_words = 500; ///< That decide a vector; the rest only through the text's own hash.

/// Adds `weight` times a pseudo-random vector, the same one for the same seed, with components in [-1, 1).
void add_random(std::vector<float>& sum, uint64_t seed, float weight) {
  random_source source(seed);
  for (auto& component : sum)
    component += weight * static_cast<float>(2 * source.unit() - 1);
}

/// Hashes a token without its spaces and its case.
uint64_t word_hash(std::string_view token, uint64_t seed) {
  std::string word;
  for (auto c : token)
    if (c != ' ')
      word += c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  return hash(word, seed);
}

} // namespace

// Random directions in many dimensions are almost orthogonal, so the cosine of two sums is about the share of words
// that the texts have in common.
std::vector<float> embedding_of(std::string_view text, uint64_t seed, uint32_t dimensions) {
  std::vector<float> sum(dimensions, 0.0f);
  add_random(sum, hash(text, seed), 0.1f); // two texts are never the same
  for (std::size_t words = 0; words < max_words && !text.empty(); ++words) {
    auto size = first_token(text);
    add_random(sum, word_hash(text.substr(0, size), seed), 1);
    text.remove_prefix(size);
  }
  double squares = 0;
  for (auto component : sum)
    squares += double{component} * component;
  for (auto& component : sum)
    component = static_cast<float>(component / std::sqrt(squares));
  return sum;
}

void append_json(std::string& out, const std::vector<float>& values) {
  char buffer[32];
  out += '[';
  for (auto number : values) {
    out.append(buffer, std::to_chars(buffer, buffer + sizeof(buffer), number).ptr);
    out += ',';
  }
  if (!values.empty())
    out.pop_back();
  out += ']';
}

std::string base64_of(const std::vector<float>& values) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  uint32_t bits = 0;
  int count = 0;
  for (auto number : values) {
    auto bytes = std::bit_cast<uint32_t>(number);
    for (int i = 0; i < 4; ++i, bytes >>= 8) {
      bits = (bits << 8) | (bytes & 0xff);
      for (count += 8; count >= 6; count -= 6)
        text += digits[(bits >> (count - 6)) & 63];
    }
  }
  if (count > 0)
    text += digits[(bits << (6 - count)) & 63];
  while (text.size() % 4 != 0)
    text += '=';
  return text;
}

} // namespace modelforge::simulator
