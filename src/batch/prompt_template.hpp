#pragma once

#include <modelforge/messages/error.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace modelforge::batch {

/// A prompt with places in it: {{NAME}} stands for what a row has in the column of that name; white space around the
/// name does not count. All else is text as it stands, a brace without its like included.
class prompt_template {
public:
  /// Refused (`invalid_request`): a name that is no column's or several columns', with what there is; a text without
  /// any place, which would ask the same of all.
  static std::variant<prompt_template, failure> make(std::string_view text, const std::vector<std::string>& columns);

  /// Puts a row into it, which must have all columns.
  std::string fill(const std::vector<std::string>& row) const;

private:
  std::vector<std::pair<std::string, std::size_t>> places_; ///< The text in front, and the column.
  std::string rest_;                                        ///< Behind the last place.
};

} // namespace modelforge::batch
