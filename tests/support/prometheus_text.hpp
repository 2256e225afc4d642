#pragma once

#include <cstdlib>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>

namespace modelforge::test {

/// Prometheus text (exposition format 0.0.4), read line by line. A sample that has a time is a problem.
struct prometheus_text {
  std::map<std::string, double> values;     ///< By series as written, labels in order: `name{a="1",b="2"}`.
  std::map<std::string, std::string> types; ///< By the family's name.
  std::map<std::string, std::string> helps; ///< Likewise.
  std::string problem;                      ///< The first line that is not right; empty: all are.

  explicit prometheus_text(const std::string& text) {
    if (!text.ends_with('\n'))
      problem = "the last line has no end";
    std::istringstream in{text};
    for (std::string line; problem.empty() && std::getline(in, line);)
      if (!(line.starts_with("# ") ? take_comment(line) : take_sample(line)))
        problem = line;
    for (auto& [series, value] : values)
      if (problem.empty() && !cumulative(series))
        problem = "not cumulative: " + series;
  }

  /// The family that a series is of, or its own name where there is none.
  static std::string family_of(const std::string& series, const std::map<std::string, std::string>& types) {
    static const std::regex part{"(_bucket|_sum|_count)$"};
    auto name = series.substr(0, series.find('{'));
    return types.count(name) > 0 ? name : std::regex_replace(name, part, "");
  }

  /// The value of that series; NaN-free, so that a missing one equals nothing.
  double at(const std::string& series) const {
    auto i = values.find(series);
    return i == values.end() ? -1 : i->second;
  }

private:
  bool take_comment(const std::string& line) {
    static const std::regex help{"# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) ([^\\\\]+)"};
    static const std::regex type{"# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram)"};
    std::smatch found;
    if (std::regex_match(line, found, help))
      return helps.emplace(found[1], found[2]).second;
    return std::regex_match(line, found, type) && types.emplace(found[1], found[2]).second;
  }

  bool take_sample(const std::string& line) {
    static const std::regex sample{"([a-zA-Z_:][a-zA-Z0-9_:]*)(\\{.*\\})? ([-+0-9.eE]+|[+-]Inf|NaN)"};
    static const std::regex labels{"\\{(([a-zA-Z_][a-zA-Z0-9_]*=\"([^\"\\\\\n]|\\\\[\\\\\"n])*\",?)*)\\}"};
    std::smatch found;
    if (!std::regex_match(line, found, sample))
      return false;
    if (found[2].matched && !std::regex_match(found[2].str(), labels))
      return false;
    auto name = found[1].str();
    auto type = types.find(family_of(name, types));
    if (type == types.end() || (type->first != name && type->second != "histogram"))
      return false;
    return values.emplace(name + found[2].str(), std::strtod(found[3].str().c_str(), nullptr)).second;
  }

  /// A histogram's last bucket must equal its count.
  bool cumulative(const std::string& series) const {
    auto at_le = series.find(",le=\"+Inf\"");
    auto at_bucket = series.find("_bucket{");
    if (at_le == std::string::npos || at_bucket == std::string::npos)
      return true;
    auto count = series;
    count.erase(at_le, std::string{",le=\"+Inf\""}.size());
    count.replace(at_bucket, std::string{"_bucket"}.size(), "_count");
    return at(series) == at(count);
  }
};

} // namespace modelforge::test
