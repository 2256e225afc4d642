#pragma once

#include <modelforge/config/load.hpp>

#include <map>
#include <string>

namespace modelforge::test {

/// An environment that holds just these variables.
inline environment variables(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const std::string& name) -> std::optional<std::string> {
    auto found = values.find(name);
    return found != values.end() ? std::optional{found->second} : std::nullopt;
  };
}

/// All diagnostics as people see them.
inline std::string text_of(const load_result& x) {
  std::string result;
  for (const auto& y : x.diagnostics)
    result += to_string(y);
  return result;
}

} // namespace modelforge::test
