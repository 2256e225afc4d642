#include "http/proxy.hpp"

#include "base/ascii.hpp"
#include "base/ip_address.hpp"
#include "base/public_servers.hpp"
#include "base/url.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdlib>

namespace modelforge::http {

namespace {

/// The first of these variables that is set, be it to nothing.
std::string first_set(const proxy_rules::variables& environment, std::initializer_list<const char*> names) {
  for (auto* name : names)
    if (auto value = environment(name))
      return *value;
  return {};
}

/// Whether the host is an address in a block such as 10.0.0.0/8 or 2001:db8::/32, or the very address.
bool is_in_block(std::string_view host, std::string_view block) {
  auto slash = std::min(block.find('/'), block.size());
  auto address = ip_bytes(host), network = ip_bytes(block.substr(0, slash));
  if (address.empty() || address.size() != network.size())
    return false;
  auto bits = 8 * address.size();
  if (slash < block.size()) {
    auto* end = block.data() + block.size();
    auto [stop, problem] = std::from_chars(block.data() + slash + 1, end, bits);
    if (problem != std::errc{} || stop != end || bits > 8 * address.size())
      return false;
  }
  auto whole = bits / 8, rest = bits % 8;
  auto differ = [&](std::size_t i) { return static_cast<uint8_t>(address[i] ^ network[i]); };
  return address.compare(0, whole, network, 0, whole) == 0 && (rest == 0 || differ(whole) >> (8 - rest) == 0);
}

/// Whether an exception names the host, or a domain above it.
bool names(std::string_view entry, std::string_view host) {
  if (entry.starts_with('.'))
    entry.remove_prefix(1);
  for (auto* name : {&entry, &host})
    if (name->ends_with('.'))
      name->remove_suffix(1);
  if (entry.empty() || !ascii::iequals(host.substr(host.size() - std::min(host.size(), entry.size())), entry))
    return false;
  return host.size() == entry.size() || (host[host.size() - entry.size() - 1] == '.' && ip_bytes(host).empty());
}

/// A proxy's URL without a login; one that has no scheme is asked by http.
std::string whole_url(std::string_view url) {
  return without_login(url.find("://") == url.npos ? "http://" + std::string{url} : std::string{url});
}

/// Parts an entry's port from it, and drops its brackets. An IPv6 address has colons of its own, so that a port stands
/// behind brackets.
std::string take_port(std::string& entry) {
  auto bracket = entry.starts_with('[') ? entry.find(']') : entry.npos;
  auto colon = entry.find(':', bracket == entry.npos ? 0 : bracket);
  std::string port;
  if (colon != entry.npos && (bracket != entry.npos || entry.find(':', colon + 1) == entry.npos)) {
    port = entry.substr(colon + 1);
    entry.resize(colon);
  }
  if (bracket != entry.npos)
    entry.erase(bracket, 1).erase(0, 1);
  return port;
}

/// Whether it is one of the public addresses that are this machine's own.
bool is_own(std::string_view host, std::string_view port) {
  auto address = std::string{host}.append(":").append(port);
  return host.starts_with("127.") && std::any_of(public_servers.begin(), public_servers.end(), [&](auto& x) {
           return host_of(x.base_url) == address;
         });
}

} // namespace

proxy_rules::proxy_rules(const variables& environment) {
  http_ = first_set(environment, {"http_proxy", "all_proxy", "ALL_PROXY"});
  https_ = first_set(environment, {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"});
  auto list = first_set(environment, {"no_proxy", "NO_PROXY"});
  std::string_view rest{list};
  while (!rest.empty()) {
    auto end = std::min(rest.find_first_of(", \t"), rest.size());
    if (end > 0)
      exceptions_.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

std::string_view proxy_rules::find(bool secure, std::string_view host, std::string_view port) const {
  auto& proxy = secure ? https_ : http_;
  return proxy.empty() || is_own(host, port) || is_excepted(host, port) ? std::string_view{} : std::string_view{proxy};
}

bool proxy_rules::is_excepted(std::string_view host, std::string_view port) const {
  return std::any_of(exceptions_.begin(), exceptions_.end(), [&](std::string_view entry) {
    if (entry == "*")
      return true;
    std::string name{entry};
    auto wanted = take_port(name);
    return (wanted.empty() || wanted == port) && (names(name, host) || is_in_block(host, name));
  });
}

std::string proxy_name(std::string_view url) {
  auto name = std::string{host_of(whole_url(url))};
  auto has_port = name.starts_with('[') ? !name.ends_with(']') : name.find(':') != name.npos;
  if (!has_port)
    name += ascii::istarts_with(url, "https://") ? ":443" : ":1080";
  return name;
}

std::string flaw_of_proxy(std::string_view url) {
  constexpr auto schemes = std::to_array<std::string_view>({"http", "https", "socks4", "socks4a", "socks5", "socks5h"});
  auto whole = whole_url(url);
  auto scheme = std::string_view{whole}.substr(0, whole.find("://"));
  if (std::none_of(schemes.begin(), schemes.end(), [&](auto known) { return ascii::iequals(known, scheme); }))
    return "it begins with none of http://, https://, socks4://, socks4a://, socks5:// and socks5h://";
  std::string host{host_of(whole)};
  uint16_t number = 0;
  auto port = take_port(host);
  if (host.empty() || host.find_first_of(" \t\r\n\"<>") != host.npos)
    return "it names no host";
  auto [stop, problem] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (!port.empty() && (problem != std::errc{} || stop != port.data() + port.size()))
    return "its port is not a number up to 65535";
  return {};
}

proxy_rules proxy_rules_of_environment() {
  return proxy_rules{[](const char* name) -> std::optional<std::string> {
    auto* value = std::getenv(name);
    return value != nullptr ? std::optional<std::string>{value} : std::nullopt;
  }};
}

} // namespace modelforge::http
