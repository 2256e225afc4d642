#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

/// Base64 (RFC 4648, section 4), padded.

namespace modelforge::base64 {

inline constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

inline std::string encode(std::string_view bytes) {
  std::string result;
  result.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    auto byte = [&](std::size_t at) -> uint32_t { return at < bytes.size() ? static_cast<uint8_t>(bytes[at]) : 0; };
    auto word = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    result += digits[word >> 18];
    result += digits[word >> 12 & 63];
    result += i + 1 < bytes.size() ? digits[word >> 6 & 63] : '=';
    result += i + 2 < bytes.size() ? digits[word & 63] : '=';
  }
  return result;
}

/// Reads what `encode` writes, and nothing else: no line breaks, no other alphabet, no bits behind the last byte.
inline std::optional<std::string> decode(std::string_view text) {
  if (text.size() % 4 != 0)
    return {};
  auto padding = text.ends_with("==") ? 2u : text.ends_with('=') ? 1u : 0u;
  text.remove_suffix(padding);
  std::string result;
  result.reserve(text.size() * 3 / 4);
  uint32_t word = 0, bits = 0;
  for (auto c : text) {
    auto value = digits.find(c);
    if (value == digits.npos)
      return {};
    word = word << 6 | static_cast<uint32_t>(value);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      result += static_cast<char>(word >> bits & 255);
      word &= (1u << bits) - 1;
    }
  }
  return word == 0 ? std::optional{std::move(result)} : std::nullopt;
}

} // namespace modelforge::base64
