#pragma once

#include "json/lexer.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

/// Cutting JSON objects out of what stands around them.

namespace modelforge::wire {

/// Gathers one JSON object, or array, from bytes that are cut anywhere, by its brackets alone: whether it is JSON is
/// found out by who reads it. Nothing is copied of an object that lies whole within the bytes.
class object_gatherer {
public:
  bool is_open() const { return nesting_ > 0; }

  /// Takes bytes up to the object's end; the beginning of one that is cut goes into `kept`. Returns the object once it
  /// is whole, as a view of `bytes` where it lay whole in them, else of `kept`. What was taken is removed from `bytes`.
  std::string_view take(std::string_view& bytes, std::string& kept) {
    if (nesting_ == 0)
      kept.clear();
    auto taken = take_part(bytes);
    if (nesting_ == 0 && kept.empty())
      return taken;
    kept += taken;
    return nesting_ == 0 ? std::string_view{kept} : std::string_view{};
  }

  /// Takes bytes up to the object's end, or all: see `is_open`. What was taken is removed from `bytes`.
  std::string_view take_part(std::string_view& bytes) {
    auto* begin = bytes.data();
    auto* end = begin + bytes.size();
    auto* p = begin;
    if (in_string_)
      p = skip_string(p, end);
    while (p != end) {
      auto c = *p++;
      if (c == '"') {
        in_string_ = true;
        p = skip_string(p, end);
      } else if (c == '{' || c == '[') {
        ++nesting_;
      } else if ((c == '}' || c == ']') && --nesting_ == 0) {
        break;
      }
    }
    std::string_view taken{begin, static_cast<std::size_t>(p - begin)};
    bytes.remove_prefix(taken.size());
    return taken;
  }

private:
  /// Steps behind the quote that ends a string, or to the end. Brackets in it do not count; an escape hides the byte
  /// behind it.
  const char* skip_string(const char* p, const char* end) {
    if (std::exchange(is_escaped_, false))
      ++p;
    while ((p = json::skip_plain(p, end)) != end) {
      auto c = *p++;
      if (c == '"') {
        in_string_ = false;
        break;
      }
      if (c != '\\')
        continue;
      if (p == end) {
        is_escaped_ = true;
        break;
      }
      ++p;
    }
    return p;
  }

  std::size_t nesting_ = 0;
  bool in_string_ = false, is_escaped_ = false;
};

inline constexpr std::string_view done_mark = "[DONE]"; ///< OpenAI's, behind the last chunk.

/// Whether a text begins with that mark, in any case of letters, or is it without its brackets or within quotes.
bool begins_done(std::string_view text);

/// Takes the first of the objects that stand one behind the other in the data of an event, with whatever some servers
/// leave between them: white space, commas, a second "data:". Returns the object, or the end mark with all behind it;
/// nothing where something else comes, or an object that is cut.
std::string_view take_from_row(std::string_view& text);

/// Whether the text is such a row of whole objects, as far as brackets tell.
bool is_row(std::string_view text);

} // namespace modelforge::wire
