#pragma once

#include <cstdlib>
#include <optional>
#include <string>

namespace modelforge::http {

/// An environment variable's value; null where it is not set, or to nothing.
inline const char* set_variable(const char* name) {
  auto* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : nullptr;
}

/// A file of authorities, and the variable that names it.
struct named_authorities {
  const char* variable = "";
  std::string path;
};

/// Which file of authorities the environment names in place of the system's. These two variables are the curl tool's;
/// the library does not read them.
inline std::optional<named_authorities> authorities_of_environment() {
  for (auto* name : {"CURL_CA_BUNDLE", "SSL_CERT_FILE"})
    if (auto* path = set_variable(name))
      return named_authorities{name, path};
  return {};
}

} // namespace modelforge::http
