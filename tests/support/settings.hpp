#pragma once

#include <modelforge/config/settings.hpp>

#include <string>
#include <utility>

namespace modelforge::test {

/// A provider that the simulator plays at that address.
inline provider_settings simulated_at(const std::string& url, std::string name = "main") {
  provider_settings x;
  x.name = std::move(name);
  x.kind = provider_kind::openai_compatible;
  x.base_url = url + "/v1";
  x.default_model = "sim-mini";
  return x;
}

/// Settings that keep nothing in files, on so many threads.
inline settings without_state(std::size_t threads = 2) {
  settings x;
  x.runtime.state_folder = "none";
  x.runtime.threads = static_cast<uint32_t>(threads);
  return x;
}

} // namespace modelforge::test
