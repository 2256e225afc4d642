#pragma once

#include "actors/named_provider.hpp"
#include "actors/program_traces.hpp"
#include "actors/registry_view.hpp"
#include "log/logger.hpp"
#include "provider/setup.hpp"

#include <modelforge/config/settings.hpp>
#include <modelforge/messages/error.hpp>
#include <modelforge/messages/status.hpp>

#include <caf/timespan.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace modelforge {

/// What the registry tells the log, and what the log and the traces learn from it: other settings, and the secrets that
/// they must not show.
class registry_log {
public:
  explicit registry_log(log_handle log) : log_(std::move(log)), traces_(log_) {}

  const log_handle& handle() const { return log_; }
  const std::shared_ptr<trace::exporter>& traces() const { return traces_.exporter(); }

  /// A report of what is missing in the logs and the traces; the rest is its owner's to add.
  registry_report report() const;

  /// The first step of other settings: whether what they name can be had. Nothing changes yet. `in_force`: null at the
  /// start, when the log goes by them already.
  std::optional<failure> check(const settings& fresh, const settings* in_force);

  /// The second step, which cannot fail, of what was checked last.
  void take(const settings& fresh, const settings* in_force, const std::vector<provider_change>& changes);

  /// What these secrets are, and were, stands in no line from now on.
  void keep_secrets(const provider::setup& setup);

  /// The text without these secrets.
  std::string masked(std::string text) const;

  void program_started(const node_settings& node, const std::string& listening,
                       const std::vector<named_provider>& providers);
  void program_draining(caf::timespan grace);
  void program_stopped();

  void started(const named_provider& provider);
  void changed(const named_provider& provider);
  void ended(const named_provider& provider);
  void died(const named_provider& provider, std::chrono::nanoseconds wait);

  void reload_taken(const reload_report& report, const std::string& origin);
  void reload_refused(const std::string& why, const std::string& origin);

private:
  void mask(std::shared_ptr<secret_mask> more);
  void tell(log::event what, const named_provider& provider);

  log_handle log_;
  program_traces traces_;
  std::shared_ptr<const secret_mask> secrets_; ///< Of all providers so far; null: there are none.
};

} // namespace modelforge
