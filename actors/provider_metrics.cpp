#include "actors/provider_metrics.hpp"

#include "telemetry/metric_names.hpp"

#include <caf/telemetry/metric_registry.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <unordered_map>
#include <vector>

namespace modelforge {

namespace {

using caf::telemetry::dbl_counter;
using caf::telemetry::dbl_gauge;
using caf::telemetry::dbl_histogram;
using caf::telemetry::int_counter;
using caf::telemetry::int_gauge;
using caf::telemetry::int_histogram;
using caf::telemetry::label_view;
using caf::telemetry::metric_registry;
namespace label = telemetry::label;

using labels = std::vector<std::pair<std::string_view, std::string>>;

constexpr std::size_t max_label_bytes = 100;
constexpr std::size_t max_limits = 100; ///< Of a lane: its own and those of its models.

/// `text` as a label's value: CAF writes these as they are, and a quote or a line break in one would end it.
std::string value_of(std::string_view text) {
  std::string result{text.substr(0, max_label_bytes)};
  for (auto& c : result)
    if (c < ' ' || c > '~' || c == '"' || c == '\\')
      c = '_';
  return result;
}

/// Prometheus counts time in seconds.
double seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>{time}.count();
}

metric_registry::span_t<label_view> view(const std::vector<label_view>& given) {
  return {given.data(), given.size()};
}

std::vector<label_view> views_of(const labels& all) {
  std::vector<label_view> result;
  for (auto& [name, value] : all)
    result.emplace_back(name, value);
  return result;
}

/// A number that only grows, told as a whole. One that starts anew (another actor of that name) adds to the old one.
class total {
public:
  void operator()(metric_registry& registry, const telemetry::metric& metric, const labels& labels) {
    metric_ =
      registry.counter_instance(metric.prefix, metric.name, view(views_of(labels)), metric.help, metric.unit, true);
  }

  void set(uint64_t total) {
    if (total > seen_)
      metric_->inc(static_cast<int64_t>(total - std::exchange(seen_, total)));
  }

  void add(uint64_t amount) { metric_->inc(static_cast<int64_t>(amount)); }

private:
  int_counter* metric_ = nullptr;
  uint64_t seen_ = 0;
};

/// A number that goes up and down; written only when it has changed.
class level {
public:
  void operator()(metric_registry& registry, const telemetry::metric& metric, const labels& labels) {
    metric_ = registry.gauge_instance(metric.prefix, metric.name, view(views_of(labels)), metric.help, metric.unit);
  }

  void set(uint64_t value) {
    if (value != seen_)
      metric_->value(static_cast<int64_t>(seen_ = value));
  }

private:
  int_gauge* metric_ = nullptr;
  uint64_t seen_ = 0;
};

/// A duration that goes up and down.
class time_level {
public:
  void operator()(metric_registry& registry, const telemetry::metric& metric, const labels& labels) {
    metric_ =
      registry.gauge_instance<double>(metric.prefix, metric.name, view(views_of(labels)), metric.help, metric.unit);
  }

  void set(std::chrono::nanoseconds time) { metric_->value(seconds(time)); }

private:
  dbl_gauge* metric_ = nullptr;
};

/// Finds or makes the histogram with these labels; `bounds` are the upper ends of its buckets.
template <class T, std::size_t N>
caf::telemetry::histogram<T>* histogram_of(metric_registry& registry, const telemetry::metric& metric,
                                           const labels& labels, const std::array<T, N>& bounds) {
  using name_view = decltype(std::declval<const label_view&>().name()); // CAF's own in 0.18, the standard one in 1.x
  std::vector<name_view> names;
  for (auto& [name, value] : labels)
    names.emplace_back(name);
  metric_registry::span_t<name_view> all{names.data(), names.size()};
  metric_registry::span_t<T> upper{bounds.data(), bounds.size()};
  auto* family = registry.histogram_family<T>(metric.prefix, metric.name, all, upper, metric.help, metric.unit);
  return family->get_or_add(view(views_of(labels)));
}

/// 0 closed, 1 half open, 2 open, as the metric documents it.
uint64_t number_of(std::string_view breaker) {
  return breaker == "open" ? 2 : breaker == "half_open" ? 1 : 0;
}

} // namespace

/// One provider's instruments in CAF's registry. Those of the provider are made at once, those of lanes, limits and
/// models when one is first seen, since looking one up by its labels costs a lock and a search. CAF never removes an
/// instrument, so names from outside are bounded: models beyond `telemetry::max_models` share one, limits beyond
/// `max_limits` have none. What is no longer there shows as 0. Called inside the provider's actor, through
/// `provider_metrics`, which lets nothing out that is thrown.
class provider_metrics::instruments {
public:
  instruments(metric_registry& registry, const std::string& name, const std::string& vendor)
    : registry_(registry), provider_{{label::provider, value_of(name)}}, vendor_(value_of(vendor)), outcomes_(*this),
      queue_(*this) {
    predicted_wait_(registry_, telemetry::predicted_wait, provider_);
  }

  void answered(const std::string& model, const std::optional<token_usage>& usage, const timings& times,
                std::optional<std::chrono::nanoseconds> first_token) {
    auto& target = model_of(model);
    if (first_token)
      first_token_of(target).observe(seconds(*first_token));
    duration_of(target, errc::none).observe(seconds(times.total));
    target.queue->observe(seconds(times.queued));
    if (!usage)
      return;
    target.input->observe(static_cast<int64_t>(usage->input));
    target.output->observe(static_cast<int64_t>(usage->output));
  }

  void failed(const std::string& model, errc why, std::chrono::nanoseconds duration) {
    duration_of(model_of(model), why).observe(seconds(duration));
  }

  void spent(const std::string& model, double cost) {
    auto& target = model_of(model);
    if (target.cost == nullptr)
      target.cost =
        registry_.counter_instance<double>(telemetry::cost.prefix, telemetry::cost.name,
                                           view(views_of(labels_of(target))), telemetry::cost.help, "1", true);
    target.cost->inc(cost);
  }

  void flawed(answer_flaw flaw) { outcomes_.flawed.at(static_cast<std::size_t>(flaw)).add(1); }

  void optimizers_failed(uint64_t count) { outcomes_.optimizer_failures.add(count); }

  void count(const dispatcher::counters& counts, const dispatcher::queue_state& queue, uint64_t refused) {
    outcomes_.set(counts, refused);
    queue_.set(queue);
  }

  void show(const provider_status& status) {
    predicted_wait_.set(status.predicted_wait);
    for (auto& [name, lane] : lanes_)
      if (std::none_of(status.lanes.begin(), status.lanes.end(), [&](auto& y) { return y.name == name; }))
        lane.clear(); // the settings have others now
    for (auto& lane : status.lanes)
      lane_of(lane.name).show(lane, *this);
  }

  /// Nothing is left of what was there.
  void clear() {
    queue_.set({});
    predicted_wait_.set({});
    for (auto& [name, lane] : lanes_)
      lane.clear();
  }

private:
  /// What has become of requests and their attempts so far.
  struct outcome_totals {
    explicit outcome_totals(const instruments& all) {
      answered(all.registry_, telemetry::answered, all.provider_);
      failed(all.registry_, telemetry::failed, all.provider_);
      for (std::size_t i = 1; i < flawed.size(); ++i)
        flawed[i](all.registry_, telemetry::flawed, all.with(label::reason, name_of(static_cast<answer_flaw>(i))));
      late(all.registry_, telemetry::late, all.provider_);
      attempts(all.registry_, telemetry::attempts, all.provider_);
      optimizer_failures(all.registry_, telemetry::optimizer_failures, all.provider_);
      for (std::size_t i = 0; i < retries.size(); ++i)
        retries[i](all.registry_, telemetry::retries, all.with(label::reason, name_of(static_cast<retry::meaning>(i))));
      for (std::size_t i = 0; i < refusals.size(); ++i)
        refusals[i](all.registry_, telemetry::refusals,
                    all.with(label::reason, name_of(static_cast<dispatcher::reason>(i))));
    }

    void set(const dispatcher::counters& counts, uint64_t refused) {
      answered.set(counts.answered);
      failed.set(counts.failed + refused);
      late.set(counts.late);
      attempts.set(counts.attempts);
      for (std::size_t i = 0; i < retries.size(); ++i)
        retries[i].set(counts.retries[i]);
      for (std::size_t i = 0; i < refusals.size(); ++i)
        refusals[i].set(counts.refused[i]);
    }

    total answered;
    total failed;
    std::array<total, enum_names<answer_flaw>.size()> flawed; ///< None of the first, which is none.
    total late;
    total attempts;
    total optimizer_failures;
    std::array<total, std::tuple_size_v<decltype(dispatcher::counters::retries)>> retries;
    std::array<total, std::tuple_size_v<decltype(dispatcher::counters::refused)>> refusals;
  };

  /// Where the requests are that have not ended.
  struct queue_levels {
    explicit queue_levels(const instruments& all) {
      for (std::size_t i = 0; i < queued.size(); ++i)
        queued[i](all.registry_, telemetry::queued, all.with(label::priority, name_of(static_cast<priority>(i))));
      size(all.registry_, telemetry::queued_size, all.provider_);
      waiting(all.registry_, telemetry::waiting, all.provider_);
      in_flight(all.registry_, telemetry::in_flight, all.provider_);
    }

    void set(const dispatcher::queue_state& now) {
      for (std::size_t i = 0; i < queued.size(); ++i)
        queued[i].set(now.queued[i]);
      size.set(now.queued_bytes);
      waiting.set(now.waiting);
      in_flight.set(now.in_flight);
    }

    std::array<level, 2> queued;
    level size;
    level waiting;
    level in_flight;
  };

  struct model {
    std::string name;
    std::array<dbl_histogram*, enum_names<errc>.size() + 1> durations{}; ///< By outcome, made when first needed.
    dbl_histogram* queue = nullptr;
    dbl_histogram* first_token = nullptr; ///< Made with the first stream.
    int_histogram* input = nullptr;
    int_histogram* output = nullptr;
    dbl_counter* cost = nullptr; ///< Made with the first price.
  };

  struct limit {
    level size;
    level used;
  };

  struct lane {
    labels of;
    level slots;
    level in_flight;
    level breaker;
    level out;
    time_level paused;
    total openings;
    std::unordered_map<std::string, limit> limits;

    void show(const lane_status& status, instruments& all) {
      slots.set(status.slots);
      in_flight.set(status.in_flight);
      breaker.set(number_of(status.breaker));
      out.set(status.out);
      paused.set(status.paused_for.value_or(std::chrono::nanoseconds{0}));
      openings.set(status.breaker_openings);
      for (auto& [name, y] : limits) // one that was learned may be forgotten
        if (std::none_of(status.limits.begin(), status.limits.end(), [&](auto& z) { return z.of == name; })) {
          y.size.set(0);
          y.used.set(0);
        }
      for (auto& y : status.limits) {
        if (limits.size() >= max_limits && !limits.contains(y.of))
          continue;
        auto& target = all.limit_of(*this, y.of);
        target.size.set(y.limit);
        target.used.set(y.used);
      }
    }

    void clear() {
      for (auto* gauge : {&slots, &in_flight, &breaker, &out})
        gauge->set(0);
      paused.set({});
      for (auto& [name, limit] : limits) {
        limit.size.set(0);
        limit.used.set(0);
      }
    }
  };

  labels with(std::string_view name, std::string_view value) const {
    auto result = provider_;
    result.emplace_back(name, value_of(value));
    return result;
  }

  model& model_of(const std::string& name) {
    if (auto i = models_.find(name); i != models_.end())
      return i->second;
    auto full = models_.size() >= telemetry::max_models;
    auto& key = full ? other_ : name;
    if (auto i = models_.find(key); i != models_.end())
      return i->second;
    model fresh;
    fresh.name = value_of(key);
    auto labels = labels_of(fresh);
    fresh.queue = histogram_of(registry_, telemetry::queue_duration, labels, telemetry::duration_bounds);
    labels.emplace_back(label::token_type, "input");
    fresh.input = histogram_of(registry_, telemetry::token_usage, labels, telemetry::token_bounds);
    labels.back().second = "output";
    fresh.output = histogram_of(registry_, telemetry::token_usage, labels, telemetry::token_bounds);
    return models_.emplace(key, std::move(fresh)).first->second;
  }

  labels labels_of(const model& model) const {
    auto result = with(label::system, vendor_);
    result.emplace_back(label::operation, "chat");
    result.emplace_back(label::model, model.name);
    return result;
  }

  dbl_histogram& duration_of(model& model, errc outcome) {
    auto i = std::min(static_cast<std::size_t>(outcome), model.durations.size() - 1);
    auto& target = model.durations[i];
    if (target == nullptr) {
      auto all = labels_of(model);
      all.emplace_back(label::error, outcome == errc::none ? std::string{} : to_string(outcome));
      target = histogram_of(registry_, telemetry::operation_duration, all, telemetry::duration_bounds);
    }
    return *target;
  }

  dbl_histogram& first_token_of(model& model) {
    if (model.first_token == nullptr)
      model.first_token = histogram_of(registry_, telemetry::first_token, labels_of(model), telemetry::duration_bounds);
    return *model.first_token;
  }

  lane& lane_of(const std::string& name) {
    if (auto i = lanes_.find(name); i != lanes_.end())
      return i->second;
    lane fresh;
    fresh.of = with(label::lane, name);
    fresh.slots(registry_, telemetry::slots, fresh.of);
    fresh.in_flight(registry_, telemetry::lane_in_flight, fresh.of);
    fresh.breaker(registry_, telemetry::breaker, fresh.of);
    fresh.out(registry_, telemetry::out, fresh.of);
    fresh.paused(registry_, telemetry::paused, fresh.of);
    fresh.openings(registry_, telemetry::breaker_openings, fresh.of);
    return lanes_.emplace(name, std::move(fresh)).first->second;
  }

  limit& limit_of(lane& lane, const std::string& name) {
    if (auto i = lane.limits.find(name); i != lane.limits.end())
      return i->second;
    auto labels = lane.of;
    labels.emplace_back(label::limit, name);
    limit y;
    y.size(registry_, telemetry::limit_size, labels);
    y.used(registry_, telemetry::limit_used, labels);
    return lane.limits.emplace(name, y).first->second;
  }

  metric_registry& registry_;
  labels provider_;
  std::string vendor_;
  std::string other_{telemetry::other_model};
  outcome_totals outcomes_;
  queue_levels queue_;
  time_level predicted_wait_;
  std::unordered_map<std::string, model> models_; ///< By name; at most `max_models` and `other_model`.
  std::unordered_map<std::string, lane> lanes_;
};

namespace {

/// Calls `f`. Numbers that cannot be taken (no memory, a name that is something else already) are no failure.
template <class F>
void attempt(F f) noexcept {
  try {
    f();
  } catch (...) {
  }
}

} // namespace

provider_metrics::provider_metrics(metric_registry& registry, const std::string& name, const std::string& vendor) {
  attempt([&] { instruments_ = std::make_unique<instruments>(registry, name, vendor); });
}

provider_metrics::~provider_metrics() {
  if (instruments_)
    attempt([&] { instruments_->clear(); });
}

void provider_metrics::answered(const std::string& model, const std::optional<token_usage>& usage, const timings& times,
                                std::optional<std::chrono::nanoseconds> first_token) noexcept {
  if (instruments_)
    attempt([&] { instruments_->answered(model, usage, times, first_token); });
}

void provider_metrics::spent(const std::string& model, std::optional<double> cost) noexcept {
  if (instruments_ && cost && *cost > 0)
    attempt([&] { instruments_->spent(model, *cost); });
}

void provider_metrics::flawed(answer_flaw flaw) noexcept {
  if (instruments_ && flaw != answer_flaw::none)
    attempt([&] { instruments_->flawed(flaw); });
}

void provider_metrics::failed(const std::string& model, errc why, std::chrono::nanoseconds duration) noexcept {
  if (instruments_)
    attempt([&] { instruments_->failed(model, why, duration); });
}

void provider_metrics::optimizers_failed(uint64_t count) noexcept {
  if (instruments_ && count > 0)
    attempt([&] { instruments_->optimizers_failed(count); });
}

void provider_metrics::count(const dispatcher::counters& counts, const dispatcher::queue_state& queue,
                             uint64_t refused) noexcept {
  if (instruments_)
    attempt([&] { instruments_->count(counts, queue, refused); });
}

void provider_metrics::show(const provider_status& status, std::chrono::steady_clock::time_point at) noexcept {
  shown_ = at;
  if (instruments_)
    attempt([&] { instruments_->show(status); });
}

} // namespace modelforge
