#include "http/proxy.hpp"

#include "base/ascii.hpp"
#include "base/public_servers.hpp"
#include "base/url.hpp"

#include <arpa/inet.h>

#include <algorithm>
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

std::optional<uint32_t> ipv4(std::string_view text) {
  in_addr address{};
  if (inet_pton(AF_INET, std::string{text}.c_str(), &address) != 1)
    return {};
  return ntohl(address.s_addr);
}

/// Whether the host is in a block such as 10.0.0.0/8.
bool is_in_block(std::string_view host, std::string_view block) {
  auto slash = block.find('/');
  auto address = ipv4(host);
  auto network = slash == block.npos ? std::nullopt : ipv4(block.substr(0, slash));
  if (!address || !network)
    return false;
  unsigned bits = 0;
  auto* end = block.data() + block.size();
  if (auto [stop, problem] = std::from_chars(block.data() + slash + 1, end, bits);
      problem != std::errc{} || stop != end || bits > 32)
    return false;
  auto mask = bits == 0 ? 0u : ~uint32_t{0} << (32 - bits);
  return (*address & mask) == (*network & mask);
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
  return host.size() == entry.size() || (host[host.size() - entry.size() - 1] == '.' && !ipv4(host));
}

/// Parts an entry's port from it; an IPv6 address has colons of its own.
std::string_view port_of(std::string_view& entry) {
  auto colon = entry.rfind(':');
  auto is_bracketed = entry.starts_with('[');
  if (is_bracketed && entry.find(']') != entry.npos) {
    auto rest = entry.substr(entry.find(']') + 1);
    entry = entry.substr(1, entry.find(']') - 1);
    return rest.starts_with(':') ? rest.substr(1) : std::string_view{};
  }
  if (colon == entry.npos || entry.find(':') != colon)
    return {};
  auto port = entry.substr(colon + 1);
  entry = entry.substr(0, colon);
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
    auto wanted = port_of(entry);
    return (wanted.empty() || wanted == port) && (names(entry, host) || is_in_block(host, entry));
  });
}

std::string proxy_name(std::string_view url) {
  auto scheme = url.find("://");
  auto host = without_login(scheme == url.npos ? "http://" + std::string{url} : std::string{url});
  auto name = std::string{host_of(host)};
  auto has_port = name.starts_with('[') ? !name.ends_with(']') : name.find(':') != name.npos;
  if (!has_port)
    name += ascii::istarts_with(url, "https://") ? ":443" : ":1080";
  return name;
}

proxy_rules proxy_rules_of_environment() {
  return proxy_rules{[](const char* name) -> std::optional<std::string> {
    auto* value = std::getenv(name);
    return value != nullptr ? std::optional<std::string>{value} : std::nullopt;
  }};
}

} // namespace modelforge::http
