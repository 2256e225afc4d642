#pragma once

#include "tools/cli/batch.hpp"
#include "tools/cli/session.hpp"

#include <map>
#include <string>
#include <vector>

namespace modelforge::cli {

/// What a batch's answers depend on beside its input, by name (`batch_options::made_with`): the provider, its model,
/// its address and how it is spoken to, headers that are sent, what is changed in requests, how the model is to answer.
/// Names are always the same ones; what is not set is "none". Of a header's value only a sum is told, since it may be a
/// secret; keys do not count, nor does what only says how fast and how often requests go out.
std::map<std::string, std::string> batch_terms(const std::vector<session_provider>& providers,
                                               const runtime_settings& runtime, const batch_command_options& given);

} // namespace modelforge::cli
