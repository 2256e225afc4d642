#pragma once

#include "tools/simulator/random.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace modelforge::simulator {

/// Returns a value that fits `schema`, a JSON Schema of the kinds that providers take: objects, arrays, strings with
/// format or enum, numbers with limits, `anyOf`, `allOf` of objects, local `$ref`. `pattern` and `not` are not looked
/// at. Texts are taken from `words`, which must not be empty.
nlohmann::ordered_json sample(const nlohmann::ordered_json& schema, random_source source,
                              const std::vector<std::string>& words);

} // namespace modelforge::simulator
