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

/// The provider before an HTTP server that is the test.
inline provider_settings acme() {
  provider_settings x;
  x.name = "acme";
  x.kind = provider_kind::openai;
  x.base_url = "http://acme.test/v1";
  x.default_model = "m";
  x.max_concurrent = 2;
  x.interactive_slots = 1;
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
