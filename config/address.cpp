#include "config/address.hpp"

#include "base/ascii.hpp"
#include "base/public_servers.hpp"

#include <modelforge/config/secret.hpp>

#include <algorithm>
#include <charconv>

namespace modelforge {

// Names are not looked up here: settings are checked where there may be no network. Only characters that no host has
// are refused, so that a slip of the pen is found at once.
std::optional<host_port> split_host(std::string_view text) {
  host_port result;
  auto ipv6 = text.starts_with('[');
  auto end = ipv6 ? text.find(']') : text.find(':');
  if (ipv6 && end == std::string_view::npos)
    return std::nullopt;
  result.host = ipv6 ? text.substr(1, end - 1) : text.substr(0, end);
  auto rest = text.substr(std::min(text.size(), ipv6 ? end + 1 : end));
  auto valid = [ipv6](char c) {
    return ascii::is_letter(c) || ascii::is_digit(c) || c == '.'
           || (ipv6 ? c == ':' || c == '%' : c == '-' || c == '_');
  };
  if (result.host.empty() || !ascii::all(result.host, valid))
    return std::nullopt;
  if (rest.empty())
    return result;
  uint32_t port = 0;
  auto [last, failed] = std::from_chars(rest.data() + 1, rest.data() + rest.size(), port);
  if (rest[0] != ':' || failed != std::errc{} || last != rest.data() + rest.size() || port > 65535)
    return std::nullopt;
  result.port = rest.substr(1);
  return result;
}

// By its looks alone: a name of another kind that leads to this machine counts as another machine, which asks for TLS.
bool is_loopback(std::string_view host) {
  return host == "localhost" || host == "::1"
         || (host.starts_with("127.") && ascii::all(host, [](char c) { return ascii::is_digit(c) || c == '.'; }));
}

std::string scheme_of(std::string_view text) {
  auto end = text.find("://");
  return end == std::string_view::npos ? std::string{} : ascii::lower(text.substr(0, end + 3));
}

// A user name, a password or a query would end up in logs and errors, and behind a query no path can be appended.
std::variant<base_url, std::string> parse_base_url(std::string_view text) {
  base_url result;
  auto scheme = scheme_of(text);
  if (scheme != "https://" && scheme != "http://")
    return "does not start with http:// or https://";
  result.encrypted = scheme == "https://";
  auto rest = text.substr(scheme.size());
  auto authority = rest.substr(0, rest.find_first_of("/?#"));
  if (authority.find('@') != std::string_view::npos)
    return "holds a user name or password";
  if (rest.find_first_of("?#") != std::string_view::npos)
    return redact(std::string{text}) != text ? "carries a key in its query"
                                             : "has a query or fragment; paths are appended to it";
  if (!ascii::all(text, [](char c) { return c > 0x20 && c < 0x7f && c != '"' && c != '\\' && c != '<' && c != '>'; }))
    return "has blanks or other characters that no URL has";
  auto address = split_host(authority);
  if (!address || address->port == "0")
    return "has no valid host and port";
  result.address = *address;
  return result;
}

// The same addresses as the dialects' own (`default_base_url` in src/wire), which config may not include.
std::string_view public_host(provider_kind kind) {
  return host_of(public_address(name_of(kind)));
}

// Written so that two ways to spell one destination are equal: small letters, no port where it is the scheme's.
std::string destination(const provider_settings& provider) {
  if (provider.base_url.empty())
    return std::string{public_host(provider.kind)};
  auto parsed = parse_base_url(provider.base_url);
  auto* parts = std::get_if<base_url>(&parsed);
  if (!parts)
    return {};
  auto standard = parts->address.port.empty() || parts->address.port == (parts->encrypted ? "443" : "80");
  return ascii::lower(parts->address.host) + (standard ? "" : ':' + parts->address.port);
}

} // namespace modelforge
