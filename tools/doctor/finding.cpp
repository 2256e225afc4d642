#include "tools/doctor/finding.hpp"

#include "config/diagnostic.hpp"
#include "json/writer.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace modelforge::doctor {

namespace {

/// A text in one line, since a provider's words may have several.
std::string in_one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return printable(text);
}

std::string line_of(const finding& found) {
  std::string line{name_of(found.verdict)};
  line.resize(9, ' ');
  line += found.check;
  if (!found.subject.empty())
    line += " " + in_one_line(found.subject);
  line += ": " + in_one_line(found.message) + '\n';
  if (!found.remedy.empty())
    line += "           " + in_one_line(found.remedy) + '\n';
  return line;
}

/// "1 problem, 2 warnings, 7 ok"
std::string sum_of(const std::vector<finding>& all) {
  std::array<std::size_t, 3> counts{};
  for (auto& found : all)
    ++counts[static_cast<std::size_t>(found.verdict)];
  auto text = [&](verdict which, const char* plural) {
    auto count = counts[static_cast<std::size_t>(which)];
    return std::to_string(count) + ' ' + std::string{name_of(which)} + (count == 1 ? "" : plural);
  };
  return text(verdict::problem, "s") + ", " + text(verdict::warning, "s") + ", " + text(verdict::ok, "") + '\n';
}

} // namespace

bool has_problem(const std::vector<finding>& all) {
  return std::any_of(all.begin(), all.end(), [](auto& found) { return found.verdict == verdict::problem; });
}

std::string to_text(const std::vector<finding>& all) {
  std::string text;
  for (auto& found : all)
    text += line_of(found);
  return text + sum_of(all);
}

std::string to_json(const std::vector<finding>& all) {
  std::string text;
  json::writer json{text};
  json.open('[');
  for (auto& found : all) {
    json.open('{');
    json.key("verdict");
    json.word(name_of(found.verdict));
    for (auto [key, value] : {std::pair{"check", &found.check}, std::pair{"subject", &found.subject},
                              std::pair{"message", &found.message}, std::pair{"remedy", &found.remedy}}) {
      json.key(key);
      json.repaired(*value);
    }
    json.close('}');
  }
  json.close(']');
  return text + '\n';
}

} // namespace modelforge::doctor
