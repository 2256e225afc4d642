#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace modelforge::http {

/// Which proxy the environment names for whom, as curl reads it:
///
/// - `http_proxy` (in small letters only, since servers set the other one by a request's header) and `https_proxy` or
///   `HTTPS_PROXY`, by the URL's scheme; else `all_proxy` or `ALL_PROXY`. One that is set to nothing means none.
/// - `no_proxy` or `NO_PROXY` names who is asked directly: `*`, or hosts parted by commas or blanks, each with the
///   hosts below it (`example.com` and `.example.com` alike), addresses in any notation, with brackets or without, and
///   blocks of them (`10.0.0.0/8`, `2001:db8::/32`). Beyond curl, an entry with a port behind it (`[::1]:8080`) counts
///   for that port.
///
/// Beside these, what is at a public address of `base/public_servers.hpp` that is this machine's own (Ollama's) is
/// asked directly: a proxy elsewhere has another such address.
class proxy_rules {
public:
  using variables = std::function<std::optional<std::string>(const char* name)>;

  /// No proxy for anybody.
  proxy_rules() = default;

  explicit proxy_rules(const variables& environment);

  /// The proxy's URL for an origin; empty: it is asked directly. `host` is without brackets.
  std::string_view find(bool secure, std::string_view host, std::string_view port) const;

  /// Whether there is a proxy for anybody.
  bool any() const { return !http_.empty() || !https_.empty(); }

private:
  bool is_excepted(std::string_view host, std::string_view port) const;

  std::string http_, https_;
  std::vector<std::string> exceptions_;
};

/// "HOST:PORT" of a proxy's URL, for people: with the port that libcurl takes where none is named, without user and
/// password.
std::string proxy_name(std::string_view url);

/// What keeps a URL from being a proxy's, to be said behind "the proxy cannot be used: "; empty where nothing does.
/// libcurl would find out with each request.
std::string flaw_of_proxy(std::string_view url);

/// The process's own environment.
proxy_rules proxy_rules_of_environment();

} // namespace modelforge::http
