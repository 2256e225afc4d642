#pragma once

/// Names of the settings, for those who only pass them on: a change of config/settings.hpp does not compile them again.

namespace modelforge {

struct settings;
struct provider_settings;
struct runtime_settings;
struct metrics_settings;
struct node_settings;

} // namespace modelforge
