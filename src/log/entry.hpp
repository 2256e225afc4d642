#pragma once

#include "log/events.hpp"

#include <modelforge/log/record.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace modelforge::log {

/// An event that has happened, as whoever decided it tells it: a plain value. Fields without a value (empty texts,
/// empty optionals) are left out.
class entry {
public:
  /// Of a text on its way; a line has half as much of it, so that what was cut in two here does not show.
  static constexpr std::size_t max_text = 2048;

  explicit entry(event what) : what_(what) {}

  entry&& with(field name, std::string_view text) && {
    if (!text.empty())
      fields_.push_back({name_of(name), std::string{text.substr(0, max_text)}});
    return std::move(*this);
  }

  entry&& with(field name, const char* text) && { return std::move(*this).with(name, std::string_view{text}); }

  /// Names, parted by commas.
  entry&& with(field name, const std::vector<std::string>& texts) && {
    std::string all;
    for (auto& each : texts)
      if (all.size() < max_text)
        all += (all.empty() ? "" : ", ") + each;
    return std::move(*this).with(name, std::string_view{all});
  }

  template <std::integral T>
  entry&& with(field name, T number) && {
    if constexpr (std::is_same_v<T, bool>)
      fields_.push_back({name_of(name), number});
    else
      fields_.push_back({name_of(name), static_cast<int64_t>(number)});
    return std::move(*this);
  }

  /// In seconds.
  template <class Rep, class Period>
  entry&& with(field name, std::chrono::duration<Rep, Period> time) && {
    fields_.push_back({name_of(name), std::chrono::duration<double>(time).count()});
    return std::move(*this);
  }

  template <class T>
  entry&& with(field name, const std::optional<T>& value) && {
    return value ? std::move(*this).with(name, *value) : std::move(*this);
  }

  event what() const { return what_; }
  const event_rule& rule() const { return rule_of(what_); }
  const std::vector<log_field>& fields() const { return fields_; }
  std::vector<log_field>& fields() { return fields_; }

  /// What it is about, by the rule's `subject`; empty: it is never counted with another.
  std::string subject() const;

  /// The memory that it takes, about.
  std::size_t bytes() const;

private:
  event what_;
  std::vector<log_field> fields_;
};

} // namespace modelforge::log
