#pragma once

#include <modelforge/messages/errc.hpp>
#include <modelforge/messages/error.hpp>

#include <caf/error.hpp>

#include <string>
#include <string_view>

namespace modelforge {

/// The failure as actors answer it: inside an error of its code (see `failure_of`).
inline caf::error error_of(const failure& why) {
  return caf::make_error(why.code, why);
}

/// That no provider has the name. `known`: the names that there are, parted by ", "; may be empty.
inline failure unknown_provider(std::string_view name, const std::string& known) {
  return make_failure(errc::invalid_request, "there is no provider \"" + std::string{name} + "\"",
                      known.empty() ? "none is configured" : "configured: " + known);
}

} // namespace modelforge
