#pragma once

#include "wire/dialect.hpp"

#include <string_view>

namespace modelforge::wire::azure {

/// OpenAI's format as Azure speaks it: on its new surface (`/openai/v1`, the model is the name of a deployment), or on
/// its old one (`/openai/deployments/MODEL` and an `api-version`), which is meant where a version is given and
/// `base_url` does not end in /v1. `base_url` may name the resource alone, or end in /openai or /openai/v1.
/// `responses`: the Responses API. The dialect lives as long as the program.
const dialect& api(bool responses = false, std::string_view base_url = "/v1", std::string_view api_version = {});

/// The dialect that the settings want.
const dialect* choose(const dialect_choice& choice);

} // namespace modelforge::wire::azure
