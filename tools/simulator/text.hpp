#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

/// UTF-8, made-up tokens and JSON strings.
namespace modelforge::simulator {

/// What a code point is, as far as words and tokens care.
enum class script : uint8_t { space, digit, latin, cyrillic, arabic, letter, han, kana, hangul, mark };

struct code_point {
  char32_t value;
  std::size_t bytes; ///< 1 to 4.
};

/// Decodes the first code point of `text`, which must not be empty; a byte that fits nowhere counts as one mark.
code_point decode(std::string_view text);

script script_of(char32_t x);

/// Returns whether words of this script are written without spaces, each character being a token.
constexpr bool is_wide(script x) {
  return x == script::han || x == script::kana || x == script::hangul;
}

/// Returns whether code points of this script form words.
constexpr bool is_letter(script x) {
  return x >= script::latin && x <= script::letter;
}

/// Returns the length in bytes of the first token of `text`: a word with the space before it, a part of a long one,
/// one wide character, one mark. About 4 characters of English, 2 to 3 of Cyrillic or Arabic, 1 of Chinese.
std::size_t first_token(std::string_view text);

/// Returns how many tokens `first_token` cuts `text` into.
uint32_t count_tokens(std::string_view text);

/// Appends `text` as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD.
void append_json(std::string& out, std::string_view text);

/// Appends `x` in decimal.
void append_number(std::string& out, uint64_t x);

/// Returns `digits` lower-case hexadecimal digits of `x`, the lowest ones.
std::string hex(uint64_t x, int digits = 16);

} // namespace modelforge::simulator
