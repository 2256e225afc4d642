#pragma once

#include <concepts>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

/// Hexadecimal digits.

namespace modelforge::hex {

inline constexpr std::string_view small_digits = "0123456789abcdef";
inline constexpr std::string_view large_digits = "0123456789ABCDEF";

/// Returns a number as so many small digits as its type has room for, e.g. 8 for 32 bits.
template <std::unsigned_integral T>
std::string digits_of(T number) {
  std::string text(2 * sizeof number, '0');
  for (auto i = text.size(); i-- > 0; number = static_cast<T>(number >> 4))
    text[i] = small_digits[number & 15];
  return text;
}

/// Appends the two digits of a byte.
inline void append(std::string& out, char byte, std::string_view digits = small_digits) {
  auto value = static_cast<unsigned char>(byte);
  out += digits[value >> 4];
  out += digits[value & 15];
}

/// Returns the value of a digit, small or large; nothing for all else.
constexpr std::optional<unsigned> value_of(char digit) {
  if (digit >= '0' && digit <= '9')
    return static_cast<unsigned>(digit - '0');
  if (digit >= 'a' && digit <= 'f')
    return static_cast<unsigned>(digit - 'a' + 10);
  if (digit >= 'A' && digit <= 'F')
    return static_cast<unsigned>(digit - 'A' + 10);
  return {};
}

} // namespace modelforge::hex
