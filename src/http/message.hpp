#pragma once

#include <cstdint>
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

/// Status line and headers of the final answer (1xx answers are skipped).
struct response_head {
  uint16_t status = 0;
  std::vector<header> headers; ///< In order, names in lower case, values trimmed.

  /// Returns the value of the first header of that (lower-case) name, or an empty view.
  std::string_view get(std::string_view name) const {
    for (auto& header : headers)
      if (header.name == name)
        return header.value;
    return {};
  }
};

} // namespace modelforge::http
