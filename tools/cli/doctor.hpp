#pragma once

#include "tools/doctor/facts.hpp"

#include <modelforge/config/settings.hpp>

#include <string>
#include <vector>

namespace modelforge::cli {

/// What providers have said when they were asked for their models.
struct asked_providers {
  std::vector<doctor::answer_facts> answers; ///< One for each key of each provider, in the order of the settings.
  std::vector<doctor::server_time> times;    ///< By what their answers' `Date` headers say.
};

/// Asks all of them at a time, once with each of their keys, for the list of their models: no model is called, and
/// nothing is counted against limits. One that cannot be started is left out: it lacks a key, which is told
/// elsewhere. Blocks until all have answered, for the time that a question may take at most.
asked_providers ask_for_models(const std::vector<provider_settings>& providers, const runtime_settings& runtime);

} // namespace modelforge::cli
