#include "telemetry/metric_names.hpp"

#include "telemetry/exposition.hpp"

namespace modelforge::telemetry {

std::string_view name_of(metric_kind kind) {
  return kind == metric_kind::counter ? "counter" : kind == metric_kind::gauge ? "gauge" : "histogram";
}

std::string full_name(const metric& metric) {
  return full_name(metric.prefix, metric.name, metric.unit, metric.kind == metric_kind::counter);
}

std::string metrics_markdown() {
  std::string result = "| metric | kind | labels | meaning |\n|---|---|---|---|\n";
  for (auto* each : all_metrics) {
    std::string labels;
    for (auto label : each->labels)
      if (!label.empty())
        ((labels += labels.empty() ? "`" : ", `") += label) += '`';
    ((result += "| `") += full_name(*each)) += "` | ";
    ((result += name_of(each->kind)) += " | ") += labels;
    ((result += " | ") += each->help) += " |\n";
  }
  return result;
}

} // namespace modelforge::telemetry
