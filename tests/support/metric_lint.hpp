#pragma once

#include "tests/support/prometheus_text.hpp"

#include <array>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

/// What `promtool check metrics` says against metrics, by the same rules in words of our own: Prometheus's advice on
/// names (prometheus.io/docs/practices/naming).

namespace modelforge::test {

/// The base unit in whose place a word of a name stands; empty: it is none, or the base unit itself.
inline std::string base_instead_of(std::string word) {
  static const std::set<std::string> bases{"amperes", "bytes",  "celsius", "grams",   "joules",
                                           "kelvin",  "meters", "metres",  "seconds", "volts"};
  static const std::map<std::string, std::string> others{
    {"minutes", "seconds"}, {"hours", "seconds"},      {"days", "seconds"},    {"weeks", "seconds"},
    {"kelvins", "kelvin"},  {"fahrenheit", "celsius"}, {"rankine", "celsius"}, {"inches", "meters"},
    {"yards", "meters"},    {"miles", "meters"},       {"bits", "bytes"},      {"calories", "joules"},
    {"pounds", "grams"},    {"ounces", "grams"}};
  if (bases.count(word) > 0)
    return {};
  if (auto i = others.find(word); i != others.end())
    return i->second;
  for (std::string prefix : {"pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "kibi", "mega",
                             "mebi", "giga", "gibi", "tera", "tebi", "peta", "pebi"})
    if (word.starts_with(prefix)) {
      auto rest = word.substr(prefix.size());
      if (bases.count(rest) > 0)
        return rest;
      if (auto i = others.find(rest); i != others.end())
        return i->second;
    }
  return {};
}

inline std::vector<std::string> words_in(const std::string& name) {
  static const std::regex word{"[^_]+"};
  return {std::sregex_token_iterator{name.begin(), name.end(), word}, std::sregex_token_iterator{}};
}

/// What is wrong with a metric's name.
inline std::vector<std::string> problems_of_name(const std::string& name, const std::string& type) {
  std::vector<std::string> result;
  auto is_counter = type == "counter";
  if (is_counter != name.ends_with("_total"))
    result.push_back(is_counter ? "a counter's name ends in _total" : "only a counter's name ends in _total");
  for (auto* suffix : {"_bucket", "_count", "_sum"})
    if (type != "histogram" && name.ends_with(suffix))
      result.push_back(std::string{suffix} + " belongs to histograms");
  if (name.find(':') != name.npos)
    result.push_back("a colon is for recording rules");
  if (std::regex_search(name, std::regex{"[a-z][A-Z]"}))
    result.push_back("camelCase");
  auto words = words_in(name);
  for (std::size_t i = 1; i < words.size(); ++i) {
    for (auto* kind : {"counter", "gauge", "histogram", "summary"})
      if (words[i] == kind)
        result.push_back("the type stands in the name");
    static const std::set<std::string> abbreviations{"s",  "ms", "us", "ns", "sec", "b", "kb",
                                                     "mb", "gb", "tb", "pb", "m",   "h", "d"};
    if (abbreviations.count(words[i]) > 0)
      result.push_back("an abbreviated unit: " + words[i]);
  }
  for (auto& word : words)
    if (auto base = base_instead_of(word); !base.empty())
      result.push_back(word + " instead of " + base);
  return result;
}

inline std::vector<std::string> problems_of_labels(const std::string& series, const std::string& type) {
  std::vector<std::string> result;
  static const std::regex label{"[{,]([a-zA-Z_][a-zA-Z0-9_]*)=\""};
  for (std::sregex_iterator i{series.begin(), series.end(), label}, end; i != end; ++i) {
    auto name = (*i)[1].str();
    if ((name == "le" && type != "histogram") || name == "quantile")
      result.push_back("the label " + name + " is reserved");
    if (std::regex_search(name, std::regex{"[a-z][A-Z]"}))
      result.push_back("camelCase in the label " + name);
  }
  return result;
}

/// All that is wrong, "NAME: WHAT" each.
inline std::vector<std::string> lint(const prometheus_text& text) {
  std::vector<std::string> result;
  for (auto& [name, type] : text.types) {
    for (auto& problem : problems_of_name(name, type))
      result.push_back(name + ": " + problem);
    if (text.helps.count(name) == 0)
      result.push_back(name + ": no help");
  }
  for (auto& [series, value] : text.values) {
    auto name = prometheus_text::family_of(series, text.types);
    for (auto& problem : problems_of_labels(series, text.types.at(name)))
      result.push_back(series + ": " + problem);
  }
  return result;
}

} // namespace modelforge::test
