#pragma once

#include "telemetry/program_status.hpp"

#include <string>
#include <string_view>
#include <vector>

/// Whether a program is to get requests.

namespace modelforge::telemetry {

/// What a provider that has told `status` is for who sends it a request. `is_remote`: another node runs it; as long as
/// that one cannot be asked, it has no lanes.
provider_state state_of(const provider_status& status, bool is_remote);

/// Whether requests are sent at once, or as soon as limits allow.
constexpr bool is_usable(provider_state state) {
  return state == provider_state::ready;
}

/// Why a program is not to get requests.
struct not_ready_reason {
  std::string_view code;                        ///< "draining", "unanswered", "no_provider" or "provider".
  std::string message;                          ///< For people.
  std::string provider{};                       ///< Of "provider".
  provider_state state = provider_state::ready; ///< Likewise.
};

/// All reasons; none: it is ready. It is while its settings are in force, it does not drain, and one of its providers
/// at least is usable; else each provider is a reason.
std::vector<not_ready_reason> reasons_against(const program_status& program);

/// One line of JSON, as /readyz answers for these reasons: {"ready":false,"reasons":[{"code":...,"message":...}]}.
std::string readiness_json(const std::vector<not_ready_reason>& reasons);

} // namespace modelforge::telemetry
