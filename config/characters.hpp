#pragma once

#include <algorithm>
#include <string>
#include <string_view>

/// Characters of ASCII, the same in every locale.

namespace modelforge {

inline bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

inline bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}

inline bool is_letter(char c) {
  return is_lower(c) || (c >= 'A' && c <= 'Z');
}

inline char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

inline std::string lower(std::string_view text) {
  std::string result{text};
  for (auto& c : result)
    c = lower(c);
  return result;
}

/// Whether every character is one that `holds` accepts.
template <class Predicate>
bool all(std::string_view text, Predicate holds) {
  return std::all_of(text.begin(), text.end(), holds);
}

} // namespace modelforge
