#include "actors/program_traces.hpp"

#include "actors/support/random.hpp"
#include "base/hex.hpp"
#include "provider/setup.hpp"

#include <modelforge/actors/system.hpp>

#include <utility>

namespace modelforge {

program_traces::program_traces(log_handle log)
  : exporter_(std::make_shared<trace::exporter>(std::move(log), make_transport, random_number())),
    instance_(hex::digits_of(random_number()) + hex::digits_of(random_number())) {}

std::optional<failure> program_traces::prepare(const telemetry_settings& wanted, const std::string& node) {
  prepared_.reset();
  secrets_ = {};
  if (wanted.otlp.empty())
    return {};
  trace::destination result;
  result.url = wanted.otlp + "/v1/traces";
  if (auto problem = provider::read_headers(wanted.headers, result.headers, secrets_))
    return problem;
  result.from = {wanted.service_name, MODELFORGE_VERSION, node.empty() ? instance_ : node, node};
  result.share = wanted.sample;
  prepared_ = std::move(result);
  return {};
}

void program_traces::take() {
  exporter_->send_to(std::move(prepared_));
}

} // namespace modelforge
