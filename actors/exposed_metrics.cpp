#include "actors/exposed_metrics.hpp"

#include <caf/telemetry/metric.hpp>
#include <caf/telemetry/metric_family.hpp>
#include <caf/telemetry/metric_registry.hpp>

#include <limits>
#include <string>
#include <string_view>
#include <type_traits>

namespace modelforge {

namespace {

using caf::telemetry::metric;
using caf::telemetry::metric_family;

telemetry::exposition::labels labels_of(const metric& of) {
  telemetry::exposition::labels result;
  for (auto& each : of.labels()) {
    auto name = each.name();
    auto value = each.value();
    result.push_back({{name.data(), name.size()}, {value.data(), value.size()}});
  }
  return result;
}

/// What CAF's registry calls for each instrument, family by family.
class collector {
public:
  explicit collector(telemetry::exposition& out) : out_(out) {}

  template <class T>
  void operator()(const metric_family* family, const metric* which, const caf::telemetry::counter<T>* counter) {
    write(family, which, "counter", counter->value());
  }

  void operator()(const metric_family* family, const metric* which, const caf::telemetry::dbl_gauge* gauge) {
    write(family, which, "gauge", gauge->value());
  }

  void operator()(const metric_family* family, const metric* which, const caf::telemetry::int_gauge* gauge) {
    write(family, which, "gauge", gauge->value());
  }

  template <class T>
  void operator()(const metric_family* family, const metric* which, const caf::telemetry::histogram<T>* histogram) {
    begin(family, "histogram");
    auto own = labels_of(*which);
    int64_t count = 0;
    for (auto& bucket : histogram->buckets()) {
      count += bucket.count.value();
      auto bound = text_of(bucket.upper_bound);
      auto all = own;
      all.emplace_back("le", bound);
      out_.sample(all, count, "_bucket");
    }
    out_.sample(own, histogram->sum(), "_sum");
    out_.sample(own, count, "_count");
  }

private:
  template <class T>
  void write(const metric_family* family, const metric* which, const char* type, T value) {
    begin(family, type);
    out_.sample(labels_of(*which), value);
  }

  template <class T>
  static std::string text_of(T bound) {
    if constexpr (std::is_floating_point_v<T>)
      return telemetry::number_text(bound);
    else
      return bound == std::numeric_limits<T>::max() ? "+Inf" : std::to_string(bound);
  }

  void begin(const metric_family* family, const char* type) {
    if (family == family_)
      return;
    family_ = family;
    // CAF calls a gauge a sum, too, which Prometheus does not take for one.
    auto is_total = family->is_sum() && type == std::string_view{"counter"};
    out_.family(telemetry::full_name(family->prefix(), family->name(), family->unit(), is_total), type,
                family->helptext());
  }

  telemetry::exposition& out_;
  const metric_family* family_ = nullptr; ///< The one that was begun last.
};

} // namespace

void write_metrics(telemetry::exposition& out, const caf::telemetry::metric_registry& registry) {
  collector all{out};
  registry.collect(all);
}

} // namespace modelforge
