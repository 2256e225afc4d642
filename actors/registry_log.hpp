#pragma once

#include "actors/named_provider.hpp"
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

/// What the registry tells the log, and what the log learns from it: other settings, and the secrets that it must not
/// show.
class registry_log {
public:
  explicit registry_log(log_handle log) : log_(std::move(log)) {}

  const log_handle& handle() const { return log_; }

  /// What these secrets are, and were, stands in no line from now on.
  void keep_secrets(const std::vector<provider_change>& changes);
  void keep_secrets(const provider::setup& setup);

  /// The text without these secrets.
  std::string masked(std::string text) const;

  std::optional<failure> check(const settings& fresh) const { return log_->check(fresh.log); }
  void reconfigure(const settings& fresh) { log_->reconfigure(fresh.log); }

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
  std::shared_ptr<const secret_mask> secrets_; ///< Of all providers so far; null: there are none.
};

} // namespace modelforge
