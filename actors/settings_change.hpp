#pragma once

#include "base/utf8.hpp"
#include "telemetry/program_status.hpp"

#include <modelforge/config/load.hpp>
#include <modelforge/config/settings.hpp>
#include <modelforge/messages/error.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// What other settings mean for a program that runs.

namespace modelforge {

/// All errors among these, as one failure; empty: there are none.
std::optional<failure> errors_of(const std::vector<diagnostic>& all);

/// Names the tables of settings that differ and take effect only when the program is started again.
std::vector<std::string> tables_that_need_restart(const settings& fresh, const settings& in_force);

/// What needs a restart stays as it is.
void keep_what_needs_restart(settings& fresh, const settings& in_force);

/// Where the settings in force are from, and what became of those that were read again.
class settings_history {
public:
  /// They are taken now.
  settings_history(std::string origin, telemetry::wall_time now) { take(std::move(origin), now); }

  const telemetry::settings_report& report() const { return report_; }

  void take(std::string origin, telemetry::wall_time now) {
    report_.origin = std::move(origin);
    report_.taken_at = now;
    report_.is_last_refused = false;
  }

  /// A long reason, that of a file with thousands of mistakes say, is cut.
  void refuse(std::string why, telemetry::wall_time now) {
    constexpr std::size_t max_reason = 4'096; // bytes
    if (why.size() > max_reason)
      why = std::string{utf8::cut(why, max_reason)} + "...";
    report_.refused = telemetry::refused_reload{now, std::move(why)};
    report_.is_last_refused = true;
  }

private:
  telemetry::settings_report report_;
};

} // namespace modelforge
