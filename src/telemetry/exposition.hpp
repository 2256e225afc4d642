#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace modelforge::telemetry {

/// How Prometheus calls a metric: `prefix` and `name`, in which dots and hyphens become underscores, then the unit, if
/// it is not "1", and `_total` where it is a sum.
std::string full_name(std::string_view prefix, std::string_view name, std::string_view unit, bool is_sum);

/// Writes metrics in Prometheus's text format, version 0.0.4, without times: they are those of the scrape.
class exposition {
public:
  using labels = std::vector<std::pair<std::string_view, std::string_view>>;

  /// The next samples are of this one. `type`: "counter", "gauge" or "histogram". Each name comes once, with all its
  /// samples.
  void family(std::string name, std::string_view type, std::string_view help);

  /// `suffix`: behind the family's name, "_bucket" say.
  void sample(const labels& labels, double value, std::string_view suffix = {});
  void sample(const labels& labels, int64_t value, std::string_view suffix = {});
  void sample(const labels& labels, uint64_t value, std::string_view suffix = {});

  std::string take() { return std::exchange(text_, {}); }

private:
  void begin(const labels& labels, std::string_view suffix);

  std::string text_;
  std::string name_;
};

/// The shortest text that reads as the same number; "+Inf", "-Inf" and "NaN" as Prometheus has them.
std::string number_text(double value);

} // namespace modelforge::telemetry
