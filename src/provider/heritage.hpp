#pragma once

#include "dispatch/dispatcher.hpp"
#include "provider/setup.hpp"

#include <modelforge/config/secret.hpp>
#include <modelforge/config/settings.hpp>

#include <vector>

/// What a provider that gets other settings while it runs has of the ones before.

namespace modelforge::provider {

/// Whether a provider with the settings `from` can take over `next` as it runs: where what waits can be sent still,
/// because the same kind of server is asked, or the same one by the same keys.
bool can_become(const provider_settings& from, const provider_settings& next);

/// Whether both have the same lanes, so that limits and the like are all that may differ.
bool same_lanes(const setup& before, const setup& after);

/// What a provider set up as `after` has of one set up as `before`. `known`: its credentials so far, by number; new
/// ones are added.
dispatcher::heritage heritage_of(const setup& before, const setup& after, std::vector<secret>& known);

} // namespace modelforge::provider
