#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace modelforge {

/// Where something stands in a file, both from 1; 0: nowhere.
struct place {
  uint32_t line = 0;
  uint32_t column = 0; ///< In bytes.
};

/// Something wrong at a place of a file.
struct problem {
  place where;
  std::string message;
  std::string hint;
};

/// A configuration's text by lines, as the loader parses it and as reports show it.
///
/// The parser behind it trusts its input in ways that a file must not exploit: it recurses with the nesting of brackets
/// and keys, and never returns from some control characters. `check_bytes` comes first and says what it must not see.
class source_text {
public:
  /// `text` outlives this object.
  explicit source_text(std::string_view text);

  /// Looks for what is not UTF-8, control characters, lines that are too long, and brackets nested too deep. A line
  /// that is not UTF-8 is replaced by one that can be shown.
  std::vector<problem> check_bytes();

  /// The line without its end; empty if there is none of that number.
  std::string_view line(uint32_t number) const;

  const std::vector<std::string_view>& lines() const { return lines_; }

private:
  problem replace_invalid_line(std::size_t position);

  std::string_view text_;
  std::vector<std::string_view> lines_;
  std::string replacement_; ///< Stands in for a line that cannot be shown.
};

} // namespace modelforge
