#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace modelforge::test {

/// Text of characters of one to four bytes, from which tests cut what a provider says.
class prose {
public:
  explicit prose(std::size_t bytes = 128u << 10) {
    std::mt19937_64 random{7};
    static constexpr std::string_view characters[] = {"a", "e", "n", " ", "z", "é", "ß", "東", "✓", "🙂"};
    while (text_.size() < bytes) {
      starts_.push_back(text_.size());
      text_ += characters[random() % std::size(characters)];
    }
    starts_.push_back(text_.size());
  }

  /// About `bytes` of it (at least one character, at most the half of all), from anywhere.
  std::string_view draw(std::mt19937_64& random, std::size_t bytes) const {
    auto from = random() % (starts_.size() / 2);
    auto to = std::lower_bound(starts_.begin(), starts_.end(), starts_[from] + std::max<std::size_t>(bytes, 1));
    return std::string_view{text_}.substr(starts_[from], *std::min(to, starts_.end() - 1) - starts_[from]);
  }

  /// The longest beginning of `x`, a part of this text, that has whole characters and at most `bytes`.
  std::string_view beginning(std::string_view x, std::size_t bytes) const {
    if (x.size() <= bytes)
      return x;
    auto from = static_cast<std::size_t>(x.data() - text_.data());
    return x.substr(0, *(std::upper_bound(starts_.begin(), starts_.end(), from + bytes) - 1) - from);
  }

private:
  std::string text_;
  std::vector<std::size_t> starts_; ///< Of the characters; behind them the text's size.
};

/// A number between `least` and `most`, small ones as likely as large ones.
inline uint64_t scale(std::mt19937_64& random, double least, double most) {
  return static_cast<uint64_t>(std::exp(std::uniform_real_distribution<>{std::log(least), std::log(most)}(random)));
}

inline bool chance(std::mt19937_64& random, double p) {
  return std::uniform_real_distribution<>{}(random) < p;
}

} // namespace modelforge::test
