#pragma once

#include <optional>
#include <string>

namespace modelforge::node {

/// Why these three PEM files do not make a node's credentials; empty: they do. (CAF would only tell when the first peer
/// connects.)
std::optional<std::string> problem_of_credentials(const std::string& certificate, const std::string& key,
                                                  const std::string& ca);

} // namespace modelforge::node
