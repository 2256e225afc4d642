#pragma once

#include "tests/support/eventually.hpp"

#include <modelforge/log/record.hpp>

#include <algorithm>
#include <mutex>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace modelforge::test {

/// What a log has told, as texts: "provider.started provider=main kind=openai". It outlives the log.
class collected_log {
public:
  log_sink sink() {
    return [this](const log_record& x) {
      auto line = std::string{x.event};
      for (auto& field : x.fields)
        line += " " + std::string{field.name} + "=" + text_of(field.value);
      std::lock_guard lock{mutex_};
      lines_.push_back(std::move(line));
    };
  }

  std::vector<std::string> lines() const {
    std::lock_guard lock{mutex_};
    return lines_;
  }

  /// The names of the events, in order.
  std::vector<std::string> events() const {
    auto result = lines();
    for (auto& line : result)
      line = line.substr(0, line.find(' '));
    return result;
  }

  /// How many begin so, without those that tell how often one was repeated.
  std::size_t count(const std::string& begin) const {
    auto all = lines();
    return static_cast<std::size_t>(std::count_if(
      all.begin(), all.end(), [&](auto& x) { return x.starts_with(begin) && x.find(" repeated=") == x.npos; }));
  }

  /// Waits for a line that begins so, and returns it; "" if none comes.
  std::string wait_for(const std::string& begin) const {
    std::string found;
    eventually([&] {
      for (auto& line : lines())
        if (line.starts_with(begin) && found.empty())
          found = line;
      return !found.empty();
    });
    return found;
  }

private:
  static std::string text_of(const log_value& value) {
    if (auto* text = std::get_if<std::string>(&value))
      return *text;
    if (auto* number = std::get_if<int64_t>(&value))
      return std::to_string(*number);
    if (auto* real = std::get_if<double>(&value))
      return std::to_string(*real);
    return std::get<bool>(value) ? "true" : "false";
  }

  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

} // namespace modelforge::test
