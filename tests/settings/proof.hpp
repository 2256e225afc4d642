#pragma once

#include <modelforge/config/settings.hpp>

#include <functional>
#include <string>
#include <vector>

/// The walk through all settings: for each key of config/example.toml a proof that it acts. The example is loaded
/// twice, with the key changed and without, and something is looked at that must differ. A key without a proof fails
/// the walk.

namespace modelforge::settings_test {

/// What is to be seen under these settings, as a text.
using look = std::function<std::string(const settings&)>;

/// That one key acts.
struct proof {
  std::string key; ///< Its path: "providers.main.retry.max_attempts".
  std::string to;  ///< The changed value, as TOML.
  look what;
  std::string before; ///< Part of what is seen without the change, and not with it.
  std::string after;  ///< The other way round. Both empty: it is enough that something differs.
  std::string with{}; ///< What it takes for the key to matter, in both: see `example_with`.
};

/// Keys that a table has in two places, the provider's own and those for some of its models.
struct place {
  std::string prefix; ///< Of the keys' paths, with its dot.
  std::string with;   ///< As in `proof`.
};

/// The example with changes, a line each: `path = value`, `path =` (the key is left out), or `+text`, which goes to the
/// end. A sample's header and key lose their "#".
std::string example_with(const std::string& changes);

std::vector<proof> provider_proofs();
std::vector<proof> limit_proofs();
std::vector<proof> failure_proofs();
std::vector<proof> stream_proofs();
std::vector<proof> optimization_proofs();
std::vector<proof> program_proofs();
std::vector<proof> node_proofs();

} // namespace modelforge::settings_test
