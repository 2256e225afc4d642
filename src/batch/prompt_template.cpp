#include "batch/prompt_template.hpp"

#include <algorithm>

namespace modelforge::batch {

namespace {

std::string_view trimmed(std::string_view text) {
  auto begin = text.find_first_not_of(" \t");
  return begin == text.npos ? std::string_view{} : text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

std::string listed(const std::vector<std::string>& columns) {
  constexpr std::size_t max_named = 20;
  std::string text;
  for (std::size_t i = 0; i < columns.size() && i < max_named; ++i)
    text += (i > 0 ? ", " : "") + columns[i];
  return columns.size() > max_named ? text + ", ..." : text;
}

} // namespace

std::variant<prompt_template, failure> prompt_template::make(std::string_view text,
                                                             const std::vector<std::string>& columns) {
  prompt_template result;
  for (;;) {
    auto begin = text.find("{{");
    auto end = begin == text.npos ? text.npos : text.find("}}", begin + 2);
    if (end == text.npos)
      break;
    auto name = std::string{trimmed(text.substr(begin + 2, end - begin - 2))};
    auto found = std::count(columns.begin(), columns.end(), name);
    if (found != 1)
      return make_failure(errc::invalid_request,
                          "the prompt's {{" + name + "}} is "
                            + (found == 0 ? "no column" : "the name of several columns"),
                          "there are: " + listed(columns));
    auto column = std::find(columns.begin(), columns.end(), name) - columns.begin();
    result.places_.emplace_back(text.substr(0, begin), static_cast<std::size_t>(column));
    text.remove_prefix(end + 2);
  }
  if (result.places_.empty())
    return make_failure(errc::invalid_request, "the prompt names no column, so it would be the same for all",
                        "write {{NAME}} where a column belongs; there are: " + listed(columns));
  result.rest_ = text;
  return result;
}

std::string prompt_template::fill(const std::vector<std::string>& row) const {
  std::string text;
  for (auto& [before, column] : places_)
    (text += before) += row[column];
  return text + rest_;
}

} // namespace modelforge::batch
