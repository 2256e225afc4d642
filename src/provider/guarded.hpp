#pragma once

#include <modelforge/messages/error.hpp>

#include <exception>
#include <string>
#include <variant>

namespace modelforge::provider {

/// The failure that stands for what was thrown where nothing should be.
inline failure unexpected(const std::exception& thrown) {
  return make_failure(errc::internal, std::string{"an unexpected exception: "} + thrown.what(), "please report this");
}

/// Calls `f`. What it throws (a bug, or no memory) becomes this one request's failure instead of the actor's end.
template <class T, class F>
std::variant<T, failure> guarded(F f) {
  try {
    return f();
  } catch (const std::exception& problem) {
    return unexpected(problem);
  }
}

} // namespace modelforge::provider
