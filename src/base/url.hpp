#pragma once

#include <algorithm>
#include <string>
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

/// Returns where a reference such as a redirect's `Location` leads from `base`: a whole URL, a path, or a path beside
/// the present one. Dots in paths are left as they are. Empty where `base` is no URL and the reference is none either.
inline std::string resolved(std::string_view base, std::string_view reference) {
  auto scheme = reference.find("://");
  if (scheme != reference.npos && scheme < reference.find_first_of("/?#"))
    return std::string{reference};
  auto host = base.find("://");
  if (host == base.npos)
    return {};
  if (reference.starts_with("//"))
    return std::string{base.substr(0, host + 1)}.append(reference);
  auto path = std::min(base.find_first_of("/?#", host + 3), base.size());
  if (reference.starts_with('/'))
    return std::string{base.substr(0, path)}.append(reference);
  base = base.substr(0, base.find_first_of("?#"));
  if (reference.starts_with('?') || reference.starts_with('#'))
    return std::string{base}.append(reference);
  auto folder = base.rfind('/');
  auto result = std::string{folder < host + 3 ? base : base.substr(0, folder)};
  return result.append("/").append(reference);
}

/// Returns a URL without user and password.
inline std::string without_login(std::string_view url) {
  auto host = url.find("://");
  if (host == url.npos)
    return std::string{url};
  auto end = std::min(url.find_first_of("/?#", host + 3), url.size());
  auto at = url.substr(0, end).rfind('@');
  return at == url.npos || at < host + 3 ? std::string{url}
                                         : std::string{url.substr(0, host + 3)}.append(url.substr(at + 1));
}

} // namespace modelforge
