#pragma once

#include "config/secret_mask.hpp"
#include "trace/exporter.hpp"

#include <modelforge/config/settings.hpp>
#include <modelforge/log/start_log.hpp>
#include <modelforge/messages/error.hpp>

#include <memory>
#include <optional>
#include <string>

namespace modelforge {

/// The traces of a program: what its settings say of them, for the exporter that its providers hand their requests to.
/// That ends, and sends what is left, with the last of these.
class program_traces {
public:
  explicit program_traces(log_handle log);

  const std::shared_ptr<trace::exporter>& exporter() const { return exporter_; }

  /// The first step of other settings: finds out what could fail, and changes nothing. `node`: the name among others.
  std::optional<failure> prepare(const telemetry_settings& wanted, const std::string& node);

  /// The second step, which cannot fail: what was prepared last is so from now on.
  void take();

  /// Of what was prepared last.
  const secret_mask& secrets() const { return secrets_; }

private:
  std::shared_ptr<trace::exporter> exporter_;
  std::string instance_; ///< Of this program, where it has no name among others.
  std::optional<trace::destination> prepared_;
  secret_mask secrets_;
};

} // namespace modelforge
