#include "wire/error_beside.hpp"

#include "base/ascii.hpp"
#include "wire/forms.hpp"
#include "wire/provider_error.hpp"
#include "wire/words.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace modelforge::wire {

namespace {

constexpr auto names_of_marks = make_names<json::raw error_marks::*>({{"status", &error_marks::status},
                                                                      {"code", &error_marks::code},
                                                                      {"errors", &error_marks::errors},
                                                                      {"detail", &error_marks::detail},
                                                                      {"success", &error_marks::success}});

bool is_error_status(json::raw raw) {
  auto number = told_count(raw);
  return number && *number >= 400 && *number < 600;
}

} // namespace

void error_marks::take(std::string_view name, json::reader& in) {
  if (auto* mark = names_of_marks.find(name))
    this->** mark = in.value();
}

bool error_marks::have_words() const {
  return tells_error(errors) || tells_error(detail);
}

bool error_marks::say_failed() const {
  if (success.text.empty() && code.text.empty() && status.text.empty())
    return false;
  static constexpr auto words = std::to_array<std::string_view>({"error", "fail", "failed", "failure"});
  auto is_word = [&](auto word) { return ascii::iequals(word, status.between_quotes()); };
  return ascii::iequals(success.is_string() ? success.between_quotes() : success.text, "false") || is_error_status(code)
         || is_error_status(status) || (status.is_string() && std::any_of(words.begin(), words.end(), is_word));
}

// A dialect's own `message` is no text.
json::value error_beside(const json::value& answer) {
  json::value error;
  for (auto* name : {"code", "status", "errors", "detail"})
    if (auto& value = member(answer, name); !value.is_null())
      error[name] = value;
  for (auto* name : {"message", "msg", "errorMessage", "error_message", "error_msg", "status_msg"})
    if (auto& value = member(answer, name); value.is_string())
      error[name] = value;
  return json::value{{"error", std::move(error)}};
}

std::string beside_warning(std::string_view words) {
  return "the provider told an error beside the answer: " + clean_words(words, 500);
}

} // namespace modelforge::wire
