#pragma once

#include <arpa/inet.h>

#include <string>
#include <string_view>

namespace modelforge {

/// The bytes of an address, as they go over the wire: 4 or 16; empty where the text is none. One of IPv6 stands without
/// brackets.
inline std::string ip_bytes(std::string_view text) {
  auto family = text.find(':') == text.npos ? AF_INET : AF_INET6;
  std::string bytes(family == AF_INET ? sizeof(in_addr) : sizeof(in6_addr), '\0');
  return inet_pton(family, std::string{text}.c_str(), bytes.data()) == 1 ? bytes : std::string{};
}

} // namespace modelforge
