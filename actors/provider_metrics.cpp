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

using caf::telemetry::dbl_gauge;
using caf::telemetry::dbl_histogram;
using caf::telemetry::int_counter;
using caf::telemetry::int_gauge;
using caf::telemetry::int_histogram;
using caf::telemetry::label_view;
using caf::telemetry::metric_registry;
namespace label = telemetry::label;

using labels = std::vector<std::pair<std::string_view, std::string>>;

constexpr std::size_t most_label_bytes = 100;
constexpr std::size_t most_limits = 100; ///< Of a lane: its own and those of its models.

/// `text` as a label's value: CAF writes these as they are, and a quote or a line break in one would end it.
std::string value_of(std::string_view text) {
  std::string result{text.substr(0, most_label_bytes)};
  for (auto& c : result)
    if (c < ' ' || c > '~' || c == '"' || c == '\\')
      c = '_';
  return result;
}

double seconds(std::chrono::nanoseconds x) {
  return std::chrono::duration<double>{x}.count();
}

metric_registry::span_t<label_view> view(const std::vector<label_view>& x) {
  return {x.data(), x.size()};
}

std::vector<label_view> views_of(const labels& x) {
  std::vector<label_view> result;
  for (auto& [name, value] : x)
    result.emplace_back(name, value);
  return result;
}

/// A number that only grows, told as a whole. One that starts anew (another actor of that name) adds to the old one.
class total {
public:
  void operator()(metric_registry& registry, const telemetry::metric& is, const labels& of) {
    to_ = registry.counter_instance(is.prefix, is.name, view(views_of(of)), is.help, is.unit, true);
  }

  void set(uint64_t x) {
    if (x > seen_)
      to_->inc(static_cast<int64_t>(x - std::exchange(seen_, x)));
  }

  void add(uint64_t x) { to_->inc(static_cast<int64_t>(x)); }

private:
  int_counter* to_ = nullptr;
  uint64_t seen_ = 0;
};

/// A number that goes up and down; written only when it has changed.
class level {
public:
  void operator()(metric_registry& registry, const telemetry::metric& is, const labels& of) {
    to_ = registry.gauge_instance(is.prefix, is.name, view(views_of(of)), is.help, is.unit);
  }

  void set(uint64_t x) {
    if (x != seen_)
      to_->value(static_cast<int64_t>(seen_ = x));
  }

private:
  int_gauge* to_ = nullptr;
  uint64_t seen_ = 0;
};

class time_level {
public:
  void operator()(metric_registry& registry, const telemetry::metric& is, const labels& of) {
    to_ = registry.gauge_instance<double>(is.prefix, is.name, view(views_of(of)), is.help, is.unit);
  }

  void set(std::chrono::nanoseconds x) { to_->value(seconds(x)); }

private:
  dbl_gauge* to_ = nullptr;
};

template <class T, std::size_t N>
caf::telemetry::histogram<T>* histogram_of(metric_registry& registry, const telemetry::metric& is, const labels& of,
                                           const std::array<T, N>& bounds) {
  using name_view = decltype(std::declval<const label_view&>().name()); // CAF's own in 0.18, the standard one in 1.x
  std::vector<name_view> names;
  for (auto& [name, value] : of)
    names.emplace_back(name);
  metric_registry::span_t<name_view> all{names.data(), names.size()};
  metric_registry::span_t<T> upper{bounds.data(), bounds.size()};
  auto* family = registry.histogram_family<T>(is.prefix, is.name, all, upper, is.help, is.unit);
  return family->get_or_add(view(views_of(of)));
}

uint64_t number_of(std::string_view breaker) {
  return breaker == "open" ? 2 : breaker == "half_open" ? 1 : 0;
}

} // namespace

class provider_metrics::instruments {
public:
  instruments(metric_registry& registry, const std::string& name, const std::string& kind)
    : registry_(registry), provider_{{label::provider, value_of(name)}}, kind_(value_of(kind)) {
    answered_(registry_, telemetry::answered, provider_);
    failed_(registry_, telemetry::failed, provider_);
    late_(registry_, telemetry::late, provider_);
    attempts_(registry_, telemetry::attempts, provider_);
    optimizer_failures_(registry_, telemetry::optimizer_failures, provider_);
    for (std::size_t i = 0; i < retries_.size(); ++i)
      retries_[i](registry_, telemetry::retries, with(label::reason, name_of(static_cast<retry::meaning>(i))));
    for (std::size_t i = 0; i < refusals_.size(); ++i)
      refusals_[i](registry_, telemetry::refusals, with(label::reason, name_of(static_cast<dispatcher::reason>(i))));
    for (std::size_t i = 0; i < queued_.size(); ++i)
      queued_[i](registry_, telemetry::queued, with(label::priority, name_of(static_cast<priority>(i))));
    queued_size_(registry_, telemetry::queued_size, provider_);
    waiting_(registry_, telemetry::waiting, provider_);
    in_flight_(registry_, telemetry::in_flight, provider_);
    predicted_wait_(registry_, telemetry::predicted_wait, provider_);
  }

  void answered(const std::string& model, const std::optional<token_usage>& usage, const timings& times,
                std::optional<std::chrono::nanoseconds> first_token) {
    auto& to = model_of(model);
    if (first_token)
      first_token_of(to).observe(seconds(*first_token));
    duration_of(to, errc::none).observe(seconds(times.total));
    to.queue->observe(seconds(times.queued));
    if (!usage)
      return;
    to.input->observe(static_cast<int64_t>(usage->input));
    to.output->observe(static_cast<int64_t>(usage->output));
  }

  void failed(const std::string& model, errc why, std::chrono::nanoseconds duration) {
    duration_of(model_of(model), why).observe(seconds(duration));
  }

  void optimizers_failed(uint64_t count) { optimizer_failures_.add(count); }

  void count(const dispatcher::counters& x, const dispatcher::queue_state& queue, uint64_t refused) {
    answered_.set(x.answered);
    failed_.set(x.failed + refused);
    late_.set(x.late);
    attempts_.set(x.attempts);
    for (std::size_t i = 0; i < retries_.size(); ++i)
      retries_[i].set(x.retries[i]);
    for (std::size_t i = 0; i < refusals_.size(); ++i)
      refusals_[i].set(x.refused[i]);
    show(queue);
  }

  void show(const dispatcher::queue_state& x) {
    for (std::size_t i = 0; i < queued_.size(); ++i)
      queued_[i].set(x.queued[i]);
    queued_size_.set(x.queued_bytes);
    waiting_.set(x.waiting);
    in_flight_.set(x.in_flight);
  }

  void show(const provider_status& x) {
    predicted_wait_.set(x.predicted_wait);
    for (auto& [name, lane] : lanes_)
      if (std::none_of(x.lanes.begin(), x.lanes.end(), [&](auto& y) { return y.name == name; }))
        lane.clear(); // the settings have others now
    for (auto& lane : x.lanes)
      lane_of(lane.name).show(lane, *this);
  }

  /// Nothing is left of what was there.
  void clear() {
    show(dispatcher::queue_state{});
    predicted_wait_.set({});
    for (auto& [name, lane] : lanes_)
      lane.clear();
  }

private:
  struct model {
    std::string name;
    std::array<dbl_histogram*, enum_names<errc>.size() + 1> durations{}; ///< By outcome, made when first needed.
    dbl_histogram* queue = nullptr;
    dbl_histogram* first_token = nullptr; ///< Made with the first stream.
    int_histogram* input = nullptr;
    int_histogram* output = nullptr;
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

    void show(const lane_status& x, instruments& all) {
      slots.set(x.slots);
      in_flight.set(x.in_flight);
      breaker.set(number_of(x.breaker));
      out.set(x.out);
      paused.set(x.paused_for.value_or(std::chrono::nanoseconds{0}));
      openings.set(x.breaker_openings);
      for (auto& [name, y] : limits) // one that was learned may be forgotten
        if (std::none_of(x.limits.begin(), x.limits.end(), [&](auto& z) { return z.of == name; })) {
          y.size.set(0);
          y.used.set(0);
        }
      for (auto& y : x.limits) {
        if (limits.size() >= most_limits && !limits.contains(y.of))
          continue;
        auto& to = all.limit_of(*this, y.of);
        to.size.set(y.limit);
        to.used.set(y.used);
      }
    }

    void clear() {
      for (auto* x : {&slots, &in_flight, &breaker, &out})
        x->set(0);
      paused.set({});
      for (auto& [name, x] : limits) {
        x.size.set(0);
        x.used.set(0);
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
    model x;
    x.name = value_of(key);
    auto of = labels_of(x);
    x.queue = histogram_of(registry_, telemetry::queue_duration, of, telemetry::duration_bounds);
    of.emplace_back(label::token_type, "input");
    x.input = histogram_of(registry_, telemetry::token_usage, of, telemetry::token_bounds);
    of.back().second = "output";
    x.output = histogram_of(registry_, telemetry::token_usage, of, telemetry::token_bounds);
    return models_.emplace(key, std::move(x)).first->second;
  }

  labels labels_of(const model& x) const {
    auto result = with(label::system, kind_);
    result.emplace_back(label::operation, "chat");
    result.emplace_back(label::model, x.name);
    return result;
  }

  dbl_histogram& duration_of(model& of, errc outcome) {
    auto i = std::min(static_cast<std::size_t>(outcome), of.durations.size() - 1);
    auto& to = of.durations[i];
    if (to == nullptr) {
      auto all = labels_of(of);
      all.emplace_back(label::error, outcome == errc::none ? std::string{} : to_string(outcome));
      to = histogram_of(registry_, telemetry::operation_duration, all, telemetry::duration_bounds);
    }
    return *to;
  }

  dbl_histogram& first_token_of(model& of) {
    if (of.first_token == nullptr)
      of.first_token = histogram_of(registry_, telemetry::first_token, labels_of(of), telemetry::duration_bounds);
    return *of.first_token;
  }

  lane& lane_of(const std::string& name) {
    if (auto i = lanes_.find(name); i != lanes_.end())
      return i->second;
    lane x;
    x.of = with(label::lane, name);
    x.slots(registry_, telemetry::slots, x.of);
    x.in_flight(registry_, telemetry::lane_in_flight, x.of);
    x.breaker(registry_, telemetry::breaker, x.of);
    x.out(registry_, telemetry::out, x.of);
    x.paused(registry_, telemetry::paused, x.of);
    x.openings(registry_, telemetry::breaker_openings, x.of);
    return lanes_.emplace(name, std::move(x)).first->second;
  }

  limit& limit_of(lane& x, const std::string& name) {
    if (auto i = x.limits.find(name); i != x.limits.end())
      return i->second;
    auto of = x.of;
    of.emplace_back(label::limit, name);
    limit y;
    y.size(registry_, telemetry::limit_size, of);
    y.used(registry_, telemetry::limit_used, of);
    return x.limits.emplace(name, y).first->second;
  }

  metric_registry& registry_;
  labels provider_;
  std::string kind_;
  std::string other_{telemetry::other_model};
  total answered_;
  total failed_;
  total late_;
  total attempts_;
  total optimizer_failures_;
  std::array<total, std::tuple_size_v<decltype(dispatcher::counters::retries)>> retries_;
  std::array<total, std::tuple_size_v<decltype(dispatcher::counters::refused)>> refusals_;
  std::array<level, 2> queued_;
  level queued_size_;
  level waiting_;
  level in_flight_;
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

provider_metrics::provider_metrics(metric_registry& registry, const std::string& name, const std::string& kind) {
  attempt([&] { to_ = std::make_unique<instruments>(registry, name, kind); });
}

provider_metrics::~provider_metrics() {
  if (to_)
    attempt([&] { to_->clear(); });
}

void provider_metrics::answered(const std::string& model, const std::optional<token_usage>& usage, const timings& times,
                                std::optional<std::chrono::nanoseconds> first_token) noexcept {
  if (to_)
    attempt([&] { to_->answered(model, usage, times, first_token); });
}

void provider_metrics::failed(const std::string& model, errc why, std::chrono::nanoseconds duration) noexcept {
  if (to_)
    attempt([&] { to_->failed(model, why, duration); });
}

void provider_metrics::optimizers_failed(uint64_t count) noexcept {
  if (to_ && count > 0)
    attempt([&] { to_->optimizers_failed(count); });
}

void provider_metrics::count(const dispatcher::counters& x, const dispatcher::queue_state& queue,
                             uint64_t refused) noexcept {
  if (to_)
    attempt([&] { to_->count(x, queue, refused); });
}

void provider_metrics::show(const provider_status& x) noexcept {
  if (to_)
    attempt([&] { to_->show(x); });
}

} // namespace modelforge
