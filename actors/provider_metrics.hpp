#pragma once

#include "dispatch/dispatcher.hpp"

#include <modelforge/messages/completion.hpp>
#include <modelforge/messages/errc.hpp>
#include <modelforge/messages/status.hpp>

#include <caf/fwd.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

namespace modelforge {

/// Puts one provider's numbers into CAF's metric registry (names in telemetry/metric_names.hpp). Counters go on where
/// an actor of the same name left them; gauges are 0 after the end. Never throws: what cannot be had is not counted.
class provider_metrics {
public:
  provider_metrics(caf::telemetry::metric_registry& registry, const std::string& name, const std::string& vendor);
  ~provider_metrics();
  provider_metrics(const provider_metrics&) = delete;
  provider_metrics& operator=(const provider_metrics&) = delete;

  /// A request has got its completion. `model` is what it asked for; `first_token` is set for streams.
  void answered(const std::string& model, const std::optional<token_usage>& usage, const timings& times,
                std::optional<std::chrono::nanoseconds> first_token) noexcept;

  /// What an answer has cost, in the currency of the prices; also one that did not count. Nothing: it is not known.
  void spent(const std::string& model, std::optional<double> cost) noexcept;

  /// One of these is no good answer.
  void flawed(answer_flaw flaw) noexcept;

  /// A request that had been taken in ends in an error, `duration` after its acceptance.
  void failed(const std::string& model, errc why, std::chrono::nanoseconds duration) noexcept;

  /// So many optimizers were no use to a request.
  void optimizers_failed(uint64_t count) noexcept;

  /// Takes in the counters and the queue's state; cheap enough for every event. `refused`: requests that failed before
  /// the dispatcher saw them.
  void count(const dispatcher::counters& counts, const dispatcher::queue_state& queue, uint64_t refused) noexcept;

  /// Takes in what is expensive to find out: the predicted wait, the lanes.
  void show(const provider_status& status, std::chrono::steady_clock::time_point at) noexcept;

  /// Whether it is time to `show` again.
  bool is_due(std::chrono::steady_clock::time_point at) const noexcept { return at - shown_ >= show_interval; }

private:
  class instruments;

  static constexpr std::chrono::milliseconds show_interval{250};

  std::chrono::steady_clock::time_point shown_{};
  std::unique_ptr<instruments> instruments_; ///< Null: the registry would not have them.
};

} // namespace modelforge
