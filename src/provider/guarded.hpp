#pragma once

#include <modelforge/messages/error.hpp>

#include <exception>
#include <string>
#include <variant>

namespace modelforge::provider {

/// Calls `f`. What it throws (a bug, or no memory) becomes this one request's failure instead of the actor's end.
template <class T, class F>
std::variant<T, failure> guarded(F f) {
  try {
    return f();
  } catch (const std::exception& problem) {
    return make_failure(errc::internal, std::string{"an unexpected exception: "} + problem.what(),
                        "please report this");
  }
}

} // namespace modelforge::provider
