#pragma once

#include "provider/guarded.hpp"

#include <modelforge/messages/error.hpp>

#include <caf/error.hpp>
#include <caf/result.hpp>

#include <exception>

namespace modelforge {

/// Calls `f`. What it throws (a bug, or no memory) costs what was to be done, and not the actor, on which others
/// depend.
template <class F>
void safely(F f) {
  try {
    f();
  } catch (const std::exception&) { // what makes no progress is tried again
  }
}

/// Likewise, for what is answered.
template <class T, class F>
caf::result<T> guarded(F f) {
  try {
    return f();
  } catch (const std::exception& problem) {
    return caf::make_error(errc::internal, provider::unexpected(problem));
  }
}

} // namespace modelforge
