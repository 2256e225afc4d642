#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

/// UTF-8, made-up tokens and JSON strings.
namespace modelforge::simulator {

/// What a code point is, as far as words and tokens care.
enum class script : uint8_t { space, digit, latin, cyrillic, arabic, letter, han, kana, hangul, mark };

/// A decoded character and how many bytes of the text it took.
struct code_point {
  char32_t value;
  std::size_t bytes; ///< 1 to 4.
};

/// Decodes the first code point of `text`, which must not be empty; a byte that fits nowhere counts as one mark.
code_point decode(std::string_view text);

/// Returns the script of a code point by rough ranges; whatever is in none is a mark.
script script_of(char32_t value);

/// Returns whether words of this script are written without spaces, each character being a token.
constexpr bool is_wide(script kind) {
  return kind == script::han || kind == script::kana || kind == script::hangul;
}

/// Returns whether code points of this script form words.
constexpr bool is_letter(script kind) {
  return kind >= script::latin && kind <= script::letter;
}

/// Returns the length in bytes of the first token of `text`: a word with the space before it, a part of a long one,
/// one wide character, one mark. About 4 characters of English, 2 to 3 of Cyrillic or Arabic, 1 of Chinese.
std::size_t first_token(std::string_view text);

/// Returns how many tokens `first_token` cuts `text` into.
uint32_t count_tokens(std::string_view text);

/// A text that says its first part over and over, so that a long one takes little memory.
class looped_text {
public:
  looped_text() = default;

  /// Not looped.
  explicit looped_text(std::string text) : round_(std::move(text)), size_(round_.size()) {}

  /// So many bytes of `round` after `round`. No token may go on beyond a round: it should end in two line feeds.
  looped_text(std::string round, uint64_t size) : round_(std::move(round)), size_(size) {}

  /// Bytes of all of the text, not of what is stored.
  uint64_t size() const { return size_; }

  /// Whether the text goes on after its first round.
  bool is_looped() const { return size_ > round_.size(); }

  /// Returns what comes after the first `offset` bytes, up to the end of a round; empty only at the end of all.
  std::string_view after(uint64_t offset) const;

  /// Returns the first `max_bytes` bytes, or all if they are fewer.
  std::string first(uint64_t max_bytes) const;

  /// Returns how many bytes the first `max_tokens` tokens have, and how many tokens these are.
  std::pair<uint64_t, uint32_t> measure(uint32_t max_tokens) const;

  /// Ends the text before the first of `words` in it, if there is one.
  void end_before(std::string_view words);

  /// Keeps the first `size` bytes; must not be more than there are.
  void shorten(uint64_t size) { size_ = size; }

private:
  std::string round_;
  uint64_t size_ = 0;
};

/// Appends `text` as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD.
void append_json(std::string& out, std::string_view text);

/// Appends `number` in decimal.
void append_number(std::string& out, uint64_t number);

/// Returns `digits` lower-case hexadecimal digits of `number`, the lowest ones.
std::string hex(uint64_t number, int digits = 16);

} // namespace modelforge::simulator
