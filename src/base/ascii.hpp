#pragma once

#include <algorithm>
#include <string>
#include <string_view>

/// Letters, digits and case as protocols mean them: of ASCII alone, whatever the locale.

namespace modelforge::ascii {

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

constexpr bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}

constexpr bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}

constexpr bool is_letter(char c) {
  return is_lower(c) || is_upper(c);
}

constexpr bool is_alnum(char c) {
  return is_letter(c) || is_digit(c);
}

constexpr char lower(char c) {
  return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c;
}

inline std::string lower(std::string_view text) {
  std::string result{text};
  for (auto& c : result)
    c = lower(c);
  return result;
}

constexpr bool same_letter(char x, char y) {
  return lower(x) == lower(y);
}

/// Whether two texts differ in nothing but the case of letters; so are the next two.
constexpr bool iequals(std::string_view x, std::string_view y) {
  return std::equal(x.begin(), x.end(), y.begin(), y.end(), same_letter);
}

constexpr bool istarts_with(std::string_view text, std::string_view beginning) {
  return iequals(text.substr(0, beginning.size()), beginning);
}

constexpr bool icontains(std::string_view text, std::string_view part) {
  return std::search(text.begin(), text.end(), part.begin(), part.end(), same_letter) != text.end();
}

/// Whether every character is one that `holds` accepts.
template <class Predicate>
constexpr bool all(std::string_view text, Predicate holds) {
  return std::all_of(text.begin(), text.end(), holds);
}

/// The white space of JSON, and of lines of HTTP.
inline constexpr std::string_view spaces = " \t\r\n";

constexpr bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

constexpr std::string_view trim_front(std::string_view text) {
  while (!text.empty() && is_space(text.front()))
    text.remove_prefix(1);
  return text;
}

/// Returns the text without white space around it.
constexpr std::string_view trim(std::string_view text) {
  text = trim_front(text);
  while (!text.empty() && is_space(text.back()))
    text.remove_suffix(1);
  return text;
}

} // namespace modelforge::ascii
