#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace modelforge::batch {

/// Puts the rows of a table together from lines, as RFC 4180 has it: a field in quotes may hold the separator, line
/// breaks, and quotes that stand twice. A quote inside of a field that did not begin with one is itself. Where tabs
/// separate, quotes mean nothing.
class table_row {
public:
  explicit table_row(char separator) : separator_(separator), has_quotes_(separator != '\t') {}

  enum class result : uint8_t {
    whole,  ///< `fields` has the row.
    open,   ///< A field in quotes goes on in the next line.
    broken, ///< Something stands behind a field's closing quote.
  };

  /// Takes the next line, without its end.
  result add(std::string_view line) {
    if (!is_open_)
      fields_.assign(1, {});
    else
      fields_.back() += '\n';
    for (std::size_t i = 0; i < line.size(); ++i) {
      auto c = line[i];
      if (is_open_ && c == '"' && i + 1 < line.size() && line[i + 1] == '"')
        fields_.back() += line[++i];
      else if (is_open_ && c == '"')
        is_open_ = false, is_closed_ = true;
      else if (is_open_)
        fields_.back() += c;
      else if (c == separator_)
        fields_.emplace_back(), is_closed_ = false;
      else if (is_closed_)
        return end(result::broken);
      else if (has_quotes_ && c == '"' && fields_.back().empty())
        is_open_ = true;
      else
        fields_.back() += c;
    }
    return is_open_ ? result::open : end(result::whole);
  }

  /// Drops what has been begun.
  void reset() { is_open_ = false, is_closed_ = false; }

  std::vector<std::string>& fields() { return fields_; }

private:
  result end(result how) {
    reset();
    return how;
  }

  char separator_;
  bool has_quotes_;
  std::vector<std::string> fields_;
  bool is_open_ = false;   ///< Inside of quotes.
  bool is_closed_ = false; ///< Behind a field's closing quote.
};

} // namespace modelforge::batch
