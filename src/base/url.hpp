#pragma once

#include <string_view>

namespace modelforge {

/// Returns the host of a URL, with its port if it names one; empty where the text is no URL.
constexpr std::string_view host_of(std::string_view url) {
  auto start = url.find("://");
  if (start == url.npos)
    return {};
  url.remove_prefix(start + 3);
  url = url.substr(0, url.find_first_of("/?#"));
  return url.substr(url.find('@') + 1); // npos + 1 is 0
}

} // namespace modelforge
