#include "telemetry/exposition.hpp"

#include <charconv>
#include <cmath>

namespace modelforge::telemetry {

namespace {

void append_escaped(std::string& out, std::string_view text, bool is_quoted) {
  for (auto c : text)
    if (c == '\n')
      out += "\\n";
    else if (c == '\\' || (c == '"' && is_quoted))
      (out += '\\') += c;
    else
      out += c;
}

} // namespace

std::string full_name(std::string_view prefix, std::string_view name, std::string_view unit, bool is_sum) {
  std::string result{prefix};
  (result += '_') += name;
  if (unit != "1")
    (result += '_') += unit;
  if (is_sum)
    result += "_total";
  for (auto& c : result)
    if (c == '.' || c == '-')
      c = '_';
  return result;
}

std::string number_text(double value) {
  if (std::isnan(value))
    return "NaN";
  if (std::isinf(value))
    return value < 0 ? "-Inf" : "+Inf";
  constexpr double smallest = 1e-6, largest = 1e15; // beyond them an exponent reads better
  auto size = std::abs(value);
  auto is_plain = size == 0 || (size >= smallest && size < largest);
  char buffer[64];
  auto form = is_plain ? std::chars_format::fixed : std::chars_format::scientific;
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value, form).ptr};
}

void exposition::family(std::string name, std::string_view type, std::string_view help) {
  name_ = std::move(name);
  ((text_ += "# HELP ") += name_) += ' ';
  append_escaped(text_, help, false);
  (((text_ += "\n# TYPE ") += name_) += ' ') += type;
  text_ += '\n';
}

void exposition::begin(const labels& labels, std::string_view suffix) {
  (text_ += name_) += suffix;
  auto separator = '{';
  for (auto& [name, value] : labels) {
    ((text_ += separator) += name) += "=\"";
    append_escaped(text_, value, true);
    text_ += '"';
    separator = ',';
  }
  text_ += labels.empty() ? " " : "} ";
}

void exposition::sample(const labels& labels, double value, std::string_view suffix) {
  begin(labels, suffix);
  (text_ += number_text(value)) += '\n';
}

void exposition::sample(const labels& labels, int64_t value, std::string_view suffix) {
  begin(labels, suffix);
  (text_ += std::to_string(value)) += '\n';
}

void exposition::sample(const labels& labels, uint64_t value, std::string_view suffix) {
  begin(labels, suffix);
  (text_ += std::to_string(value)) += '\n';
}

} // namespace modelforge::telemetry
