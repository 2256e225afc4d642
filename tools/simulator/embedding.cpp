#include "tools/simulator/embedding.hpp"

#include "tools/simulator/random.hpp"
#include "tools/simulator/text.hpp"

#include <bit>
#include <charconv>
#include <cmath>

namespace modelforge::simulator {

namespace {

constexpr std::size_t most_words = 500; ///< That decide a vector; the rest only through the text's own hash.

void add_random(std::vector<float>& to, uint64_t seed, float weight) {
  random_source source(seed);
  for (auto& x : to)
    x += weight * static_cast<float>(2 * source.unit() - 1);
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

std::vector<float> embedding_of(std::string_view text, uint64_t seed, uint32_t dimensions) {
  std::vector<float> sum(dimensions, 0.0f);
  add_random(sum, hash(text, seed), 0.1f); // two texts are never the same
  for (std::size_t words = 0; words < most_words && !text.empty(); ++words) {
    auto size = first_token(text);
    add_random(sum, word_hash(text.substr(0, size), seed), 1);
    text.remove_prefix(size);
  }
  double squares = 0;
  for (auto x : sum)
    squares += double{x} * x;
  for (auto& x : sum)
    x = static_cast<float>(x / std::sqrt(squares));
  return sum;
}

void append_json(std::string& out, const std::vector<float>& x) {
  char buffer[32];
  out += '[';
  for (auto number : x) {
    out.append(buffer, std::to_chars(buffer, buffer + sizeof(buffer), number).ptr);
    out += ',';
  }
  if (!x.empty())
    out.pop_back();
  out += ']';
}

std::string base64_of(const std::vector<float>& x) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  uint32_t bits = 0;
  int count = 0;
  for (auto number : x) {
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
