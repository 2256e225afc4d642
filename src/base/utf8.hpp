#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

/// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.

namespace modelforge::utf8 {

/// What stands for bytes that are not UTF-8, and for half a surrogate pair: U+FFFD.
inline constexpr std::string_view replacement = "\xEF\xBF\xBD";

/// Whether a byte is none but the first of its character.
constexpr bool is_continuation(char byte) {
  return (static_cast<uint8_t>(byte) & 0xC0) == 0x80;
}

/// Returns the length of the character at `p`; 0 where there is none, or one that is cut.
inline std::size_t character_length(const char* p, const char* end) {
  auto byte = [p](int i) { return static_cast<uint8_t>(p[i]); };
  auto within = [&](int i, int low = 0x80, int high = 0xBF) { return byte(i) >= low && byte(i) <= high; };
  auto left = end - p;
  auto first = byte(0);
  if (first < 0x80)
    return 1;
  if (first >= 0xC2 && first <= 0xDF)
    return left > 1 && within(1) ? 2 : 0;
  if ((first & 0xF0) == 0xE0)
    return left > 2 && within(1, first == 0xE0 ? 0xA0 : 0x80, first == 0xED ? 0x9F : 0xBF) && within(2) ? 3 : 0;
  if (first >= 0xF0 && first <= 0xF4)
    return left > 3 && within(1, first == 0xF0 ? 0x90 : 0x80, first == 0xF4 ? 0x8F : 0xBF) && within(2) && within(3)
             ? 4
             : 0;
  return 0;
}

/// Returns how many bytes from the beginning on are UTF-8: all of them, or those before the first that is not.
inline std::size_t valid_length(std::string_view text) {
  auto* p = text.data();
  auto* end = p + text.size();
  while (p != end) {
    if (uint64_t bytes = 0; end - p >= 8) { // most texts are ASCII for long stretches
      std::memcpy(&bytes, p, 8);
      if ((bytes & 0x8080808080808080u) == 0) {
        p += 8;
        continue;
      }
    }
    auto length = character_length(p, end);
    if (length == 0)
      break;
    p += length;
  }
  return static_cast<std::size_t>(p - text.data());
}

inline bool is_valid(std::string_view text) {
  return valid_length(text) == text.size();
}

/// Returns the text with each byte that is not UTF-8 replaced by U+FFFD.
inline std::string repair(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  auto* end = text.data() + text.size();
  for (auto* p = text.data(); p != end;) {
    auto length = character_length(p, end);
    if (length == 0)
      out += replacement;
    else
      out.append(p, length);
    p += std::max<std::size_t>(length, 1);
  }
  return out;
}

/// Returns the longest beginning of at most `bytes` bytes that cuts no character in two. `text` must be UTF-8.
inline std::string_view cut(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes)
    return text;
  while (bytes > 0 && is_continuation(text[bytes]))
    --bytes;
  return text.substr(0, bytes);
}

/// Appends a code point.
inline void append(std::string& out, uint32_t code_point) {
  auto add = [&](uint32_t byte) { out += static_cast<char>(byte); };
  auto tail = [&](int shift) { add(0x80 | ((code_point >> shift) & 0x3F)); };
  if (code_point < 0x80) {
    add(code_point);
  } else if (code_point < 0x800) {
    add(0xC0 | (code_point >> 6));
    tail(0);
  } else if (code_point < 0x10000) {
    add(0xE0 | (code_point >> 12));
    tail(6);
    tail(0);
  } else {
    add(0xF0 | (code_point >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

} // namespace modelforge::utf8
