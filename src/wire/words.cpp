#include "wire/words.hpp"

#include "base/ascii.hpp"
#include "base/text_encoding.hpp"
#include "base/utf8.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

namespace modelforge::wire {

namespace {

/// Masks what follows the beginnings that providers give their keys.
void mask_keys(std::string& text) {
  static constexpr auto prefixes =
    std::to_array<std::string_view>({"sk-", "gsk_", "AIza", "ghp_", "gho_", "github_pat_", "hf_", "xai-"});
  constexpr std::size_t shortest_key = 16;
  if (text.size() < shortest_key)
    return;
  auto in_word = [](char c) { return ascii::is_alnum(c) || c == '_' || c == '-' || c == '*'; };
  for (auto prefix : prefixes)
    for (std::size_t i = 0; (i = text.find(prefix, i)) != text.npos; i += prefix.size()) {
      auto end = static_cast<std::size_t>(
        std::find_if_not(text.begin() + static_cast<std::ptrdiff_t>(i), text.end(), in_word) - text.begin());
      if ((i == 0 || !in_word(text[i - 1])) && end - i >= shortest_key)
        text.replace(i + prefix.size(), end - i - prefix.size(), "***");
    }
}

} // namespace

// Pages may begin with a byte order mark, a comment or an XML declaration, and need not be whole.
bool is_page(std::string_view text) {
  static constexpr auto beginnings =
    std::to_array<std::string_view>({"<!doctype html", "<html", "<head", "<body", "<title", "<h1", "<center", "<pre"});
  text = ascii::trim_front(without_mark(text));
  auto is_in = [&](std::string_view part) { return ascii::icontains(text.substr(0, 1024), part); };
  if (std::any_of(beginnings.begin(), beginnings.end(), [&](auto x) { return ascii::istarts_with(text, x); }))
    return true;
  return text.starts_with('<') && (is_in("<html") || is_in("<!doctype html"));
}

bool is_event_stream(std::string_view text) {
  text = ascii::trim_front(text);
  return ascii::istarts_with(text, "data:") || ascii::istarts_with(text, "event:") || text.starts_with(": ")
         || text.starts_with("error: {");
}

// What people most often meet in place of an answer: a proxy's page, a stream that was not asked for, nothing at all.
std::string describe_body(std::string_view text) {
  text = ascii::trim_front(text);
  if (text.empty())
    return "an empty body";
  if (is_page(text))
    return std::string{page_name};
  if (is_event_stream(text))
    return std::string{stream_name};
  if (auto form = packed_form(text); !form.empty())
    return "a body that is " + std::string{form} + std::string{packed_words};
  return std::string{text_name} + " " + clean_words(text, 80);
}

std::string request_id_in(const http::response_head& head, std::string_view answer_id) {
  for (auto* name : {"x-request-id", "request-id", "apim-request-id"})
    if (auto value = head.get(name); !value.empty())
      return clean_words(value, 200);
  return clean_words(answer_id, 200);
}

// Cut before and after: masking may shorten the text, and a body may have megabytes. Control characters would let a
// server write into a terminal.
std::string clean_words(std::string_view text, std::size_t bytes) {
  auto part = text.substr(0, 4 * bytes + 64); // bodies may be long; masking shortens what it meets
  auto words = utf8::repair(part.size() < text.size() ? utf8::cut(part, part.size() - 4) : part);
  std::replace_if(
    words.begin(), words.end(), [](char c) { return c == '\n' || c == '\t' || c == '\r'; }, ' ');
  std::erase_if(words, [](char c) { return static_cast<uint8_t>(c) < 0x20 || c == 0x7F; });
  mask_keys(words);
  words.resize(utf8::cut(words, bytes).size());
  return words;
}

} // namespace modelforge::wire
