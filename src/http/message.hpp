#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace modelforge::http {

/// One line of a head. Names are compared without regard to case; in answers they are in lower case.
struct header {
  std::string name;
  std::string value;

  friend bool operator==(const header&, const header&) = default;
};

/// The way that a request went, for those answers whose meaning depends on it.
struct route {
  std::string url;   ///< What was asked.
  std::string proxy; ///< "HOST:PORT" of the proxy that may have answered in the server's place; empty: there is none.
};

/// Status line and headers of the final answer (1xx answers are skipped).
struct response_head {
  uint16_t status = 0;
  std::vector<header> headers{};              ///< In order, names in lower case, values trimmed.
  std::shared_ptr<const http::route> route{}; ///< Of a redirect, and of a failure that may be a proxy's own; else null.

  /// What was asked, where that is told; else empty.
  std::string_view asked_url() const { return route ? route->url : std::string_view{}; }

  /// "HOST:PORT" of the proxy that may speak; empty: none.
  std::string_view proxy() const { return route ? route->proxy : std::string_view{}; }

  /// Returns the value of the first header of that (lower-case) name, or an empty view.
  std::string_view get(std::string_view name) const {
    for (auto& header : headers)
      if (header.name == name)
        return header.value;
    return {};
  }
};

} // namespace modelforge::http
